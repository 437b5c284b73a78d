"""The words that may come next on a command line, for a shell's completion. Imports no torch, no hydra, no rich."""

import importlib
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from trainer.config import files
from trainer.config.check import known_keys
from trainer.config.options import target_schema
from trainer.config.picked import picked
from trainer.config.schema import Config, DeviceName
from trainer.config.schema_key import keys
from trainer.disk import layout
from trainer.text import cleaned
from trainer.verbs import VERBS
from trainer.verbs.runs import outside_sweeps

SHELLS = ("bash", "zsh")


def candidates(line: str) -> list[str]:
    """Complete words that may replace the last one of `line`, which begins with the program's name.

    A finished word ends in a space; one that continues ends in `=` or `.`.
    """
    *before, word = re.split(r"\s+", line.lstrip())[1:] or [""]
    if before and before[0] not in VERBS:
        return []
    words: Iterable[str] = _after(before[0], before[1:], word) if before else (f"{verb} " for verb in VERBS)
    words = (candidate for candidate in words if candidate.startswith(word))
    return list(dict.fromkeys(candidate for candidate in words if cleaned(candidate) == candidate))


def _after(verb: str, before: list[str], word: str) -> Iterator[str]:
    """Yield words for a verb: its parser names its flags, and what it takes."""
    parser = importlib.import_module(f"trainer.verbs.{verb.replace('-', '_')}").parser()
    if word.startswith("-"):
        yield from (f"{flag} " for flag in sorted(parser.flags) if flag.startswith("--"))
        return
    takes = parser.takes
    folders = files.roots([b for a, b in pairwise(before) if a in ("-cd", "--config-dir") and Path(b).is_dir()])
    if "RUN" in takes or "SWEEP" in takes:
        yield from _runs(sweeps="SWEEP" in takes)
    if "GROUP" in takes:
        yield from (f"{group} " for group in files.options(folders))
    if "NAME" in takes:
        yield from (f"{path.stem} " for folder in folders for path in sorted(folder.glob("**/chapter/*.yaml")))
    if "SHELL" in takes:
        yield from (f"{shell} " for shell in SHELLS)
    for name, choices in re.findall(r"([\w.]+)=([\w|]*)", takes):
        if "|" in choices:  # format=a|b: only these values
            yield from (f"{name}={choice} " for choice in choices.split("|"))
        else:  # key=value: any key; dataset.key=value: any of that group; epochs=80: only epochs
            scope = name.removesuffix("key") if name.endswith("key") else f"{name}="
            yield from (item for item in _settings(before, word, folders) if item.lstrip("+~").startswith(scope))


def _settings(before: list[str], word: str, folders: list[Path]) -> Iterator[str]:
    """Yield keys up to their next dot; after a `=` the values of that key; in a list, after its last comma."""
    data, groups = picked(before, folders), files.options(folders)
    name, equals, value = word.lstrip("+~").partition("=")
    mark = word.removesuffix(f"{name}{equals}{value}")
    if equals:
        head, comma, _ = value.rpartition(",")
        for choice in groups[name] if name in groups else _values(name, data):
            yield f"{mark}{name}={head}{comma}{choice} "
        return
    known = [*groups, *known_keys(data)]
    parents = {key.rpartition(".")[0] for key in known}
    for key in known:
        if key.startswith(name) and not key.endswith("._target_") and (key not in parents or key in groups):
            end = key.find(".", len(name))
            yield mark + (f"{key}=" if end < 0 else key[: end + 1])


def _values(key: str, data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the values of a key that has a fixed choice: words, true and false, or null among others."""
    group, _, name = key.partition(".")
    field = keys(Config).get(group)
    if name and field:
        nested = is_dataclass(field.type)
        field = (keys(field.type) if nested else target_schema(group, data.get(group, {})) or {}).get(name)
    if not field:
        return
    for option in get_args(field.type) if get_origin(field.type) in (Union, types.UnionType) else (field.type,):
        if get_origin(option) is Literal:
            yield from map(str, get_args(option))
        elif option is DeviceName:
            yield from ("auto", "cpu", "cuda", "mps")
        elif option in (bool, type(None)):
            yield from ("true", "false") if option is bool else ("null",)


def _runs(*, sweeps: bool) -> Iterator[str]:
    """Yield latest, and the names of runs in outputs/, newest first."""
    root = Path("outputs")
    folders = list(outside_sweeps(root))
    if sweeps:
        folders += [path.parent for path in root.glob(f"{layout.SWEEPS}/*/*/{layout.SWEEP}")]
    if folders:
        yield f"{layout.LATEST} "
    for folder in sorted(folders, key=lambda folder: folder.parts[-2:], reverse=True):
        yield f"{folder.name} "
