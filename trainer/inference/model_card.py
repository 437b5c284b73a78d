"""The model card: a README.md with the model's inputs, outputs, metrics and origin."""

import html
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer.data.picture_file import PictureFormat
from trainer.data.preprocessing import Preprocessing
from trainer.disk import layout
from trainer.inference.pipeline import output_name
from trainer.text import cleaned

PROGRAM = "load_{name}.py"
READ = {"number": "a number", "date": "a date, as days since 1970-01-01"}


def card(folder: Path, files: Mapping[str, str], preprocessing: Preprocessing, dtype: str, overrides: list[str]) -> str:
    """The card as Markdown. files: {format: file name} of all files in RUN/export/. dtype: of the input."""
    summary = layout.read_summary(folder)
    lines = [
        f"# {plain(summary.get('model', 'A model'))} on {plain(summary.get('dataset', 'data'))}",
        f"\nExported from the run `{code(folder.name)}`, trained with trainer.",
        *_input(preprocessing, dtype),
        *_output(preprocessing),
        *_metrics(summary),
        *_origin(summary, overrides),
        "\n## Files\n",
    ]
    pictures = preprocessing.pictures is not None
    what = "pictures" if pictures else "one row"
    for name, file in files.items():
        command = f"python {PROGRAM.format(name=name)}{' PICTURE' * pictures}"
        lines.append(f"- `{file}` ({name.replace('_', '.')}): `{command}` loads it and predicts {what}")
    return "\n".join(lines) + "\n"


def _input(preprocessing: Preprocessing, dtype: str) -> Iterator[str]:
    yield "\n## What goes in\n"
    shape = ", ".join(["rows", *map(str, preprocessing.raw_shape)])
    if preprocessing.pictures is not None:
        yield f"`x`: {dtype}, of shape ({shape}), any number of rows."
        yield from _pictures(preprocessing.pictures, preprocessing.x.state_dict())
        return
    yield f"`x`: {dtype}, of shape ({shape}), any number of rows. Raw values, in the units of the training data: the"
    yield "file applies the preprocessing of the training."
    if preprocessing.table is not None:
        yield "\n| place | column | value |\n|---|---|---|"
        for place, column in enumerate(preprocessing.table.columns):
            levels = ", ".join(f"{index} = {plain(level)}" for index, level in enumerate(column.levels))
            unknown = f"; {len(column.levels)} is any other" if column.other else "; -1 is any other"
            value = READ.get(column.kind, f"a category as its index: {levels}{unknown}")
            yield f"| {place} | {plain(column.name)} | {value}; NaN where it is missing |"


def _pictures(how: PictureFormat, normalisation: Mapping[str, Any]) -> Iterator[str]:
    means, deviations = (", ".join(f"{v:.6g}" for v in normalisation[k].flatten().tolist()) for k in ("mean", "std"))
    yield f"Pixels from 0 to 255, the channel{' is grey' if how.grey else 's are red, green and blue, in this order'}."
    yield f"The file subtracts {means} and divides by {deviations}. Before that, each picture is\n"
    yield "1. turned upright, as the orientation in its EXIF data says; of several pictures in a file, the first counts"
    yield "2. brought to 8 bits: values of 16 bits are divided by 257, floats from 0 to 1 are multiplied by 255"
    yield f"3. laid over {how.background} where it is transparent"
    yield f"4. converted to RGB{', and then to grey,' if how.grey else ''} as Pillow does, without its colour profile"
    yield "5. cut to the square in its middle"
    filter = "the bilinear filter of Pillow" if how.resize == "pillow" else "torchvision, bilinear with antialias"
    yield f"6. resized to {how.size} × {how.size} pixels by {filter}"


def _output(preprocessing: Preprocessing) -> Iterator[str]:
    yield "\n## What comes out\n"
    facts, table, name = preprocessing.facts, preprocessing.table, output_name(preprocessing)
    if facts.classes is not None:
        yield f"`{name}`: (rows, {len(facts.classes)}), adding up to 1, of the classes in this order:"
        yield ", ".join(plain(name) for name in facts.classes) + "."
    else:
        targets = f": {', '.join(map(plain, table.targets))}" if table is not None else ""
        dtype = "float64" if preprocessing.y is not None and preprocessing.y.state_dict() else "floats"
        yield f"`{name}`: {dtype}, of shape (rows, {facts.num_outputs}), in the units of the training data{targets}."


def _metrics(summary: Mapping[str, Any]) -> Iterator[str]:
    yield "\n## How good it is\n\n| metric | value |\n|---|---|"
    for name, value in (summary.get("best") or summary.get("last") or {}).items():
        if "/" in str(name) and isinstance(value, (int, float)):
            yield f"| {plain(name)} | {value:.4f} |"
    yield "\n`train/…` is measured during training, `val/…` on rows that were held back and used to choose the best"
    yield "weights. On other data the model may be worse; these numbers do not say how much."


def _origin(summary: Mapping[str, Any], overrides: list[str]) -> Iterator[str]:
    yield "\n## How it was made\n"
    yield f"    trainer train {' '.join(code(word) for word in overrides)}".rstrip() + "\n"
    keys = {"parameters": "parameters", "seed": "seed", "steps": "steps", "commit": "git"}
    versions = (f"{name} {version}" for name, version in sorted((summary.get("versions") or {}).items()))
    rows = {name: summary.get(key) for name, key in keys.items()} | {"versions": ", ".join(versions)}
    yield from (f"- {name}: {plain(value)}" for name, value in rows.items() if value is not None)


def plain(value: Any) -> str:
    """Text that Markdown shows unchanged, on one line, whatever it contains."""
    return re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", html.escape(cleaned(str(value), " "), quote=False))


def code(value: Any) -> str:
    """Text to put between backticks or in a block of code."""
    return cleaned(str(value), " ").replace("`", " ")
