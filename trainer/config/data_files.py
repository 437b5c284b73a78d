"""The settings that open a file or a folder of data, told by its name."""

import shlex
from pathlib import Path

SUFFIXES = {  # of the files that each kind of dataset reads
    "table": (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".pq"),
    "npz": (".npz",),
    "safetensors": (".safetensors",),
}


def settings(word: str) -> str:
    """What to type for a word that names a file or a folder of data, or '' for another word."""
    path = shlex.quote(f"dataset.path={word}")
    if word and Path(word).is_dir():
        return f"dataset=images {path}"
    kind = next((kind for kind, suffixes in SUFFIXES.items() if word.lower().endswith(suffixes)), None)
    if kind is None:
        return ""
    return f"dataset={kind} {path}" + (" dataset.target=COLUMN" if kind == "table" else "")
