"""What a command line may go on with, for a shell's completion. Reads files only: no torch, no hydra, no rich."""

import dataclasses
import importlib
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from trainer.config import files
from trainer.config.check import known_keys
from trainer.config.options import TARGETS
from trainer.config.schema import Config, DeviceName, Target
from trainer.disk import layout
from trainer.verbs import VERBS

SHELLS = ("bash", "zsh")


def candidates(line: str) -> list[str]:
    """Whole words that may stand in place of the last one of `line`, which begins with the program's name.

    A word that is finished ends in a space; one that goes on ends in `=` or `.`.
    """
    *before, word = re.split(r"\s+", line.lstrip())[1:] or [""]
    if not before:
        found: Iterable[str] = [f"{verb} " for verb in VERBS]
    elif before[0] in VERBS:
        found = _after(before[0], before[1:], word)
    else:
        return []
    return list(dict.fromkeys(item for item in found if item.startswith(word)))


def _after(verb: str, before: list[str], word: str) -> Iterator[str]:
    """Words for a verb: its parser names its flags, and what it takes."""
    parser = importlib.import_module(f"trainer.verbs.{verb.replace('-', '_')}").parser()
    if word.startswith("-"):
        yield from (f"{flag} " for flag in sorted(parser.flags) if flag.startswith("--"))
        return
    takes = parser.takes
    folders = files.roots([b for a, b in pairwise(before) if a in ("-cd", "--config-dir")])
    if "RUN" in takes or "SWEEP" in takes:
        yield from _runs(sweeps="SWEEP" in takes)
    if "GROUP" in takes:
        yield from (f"{group} " for group in files.options(folders))
    if "NAME" in takes:
        yield from (f"{path.stem} " for folder in folders for path in sorted(folder.glob("**/chapter/*.yaml")))
    if "SHELL" in takes:
        yield from (f"{shell} " for shell in SHELLS)
    for name, choices in re.findall(r"([\w.]+)=([\w|]*)", takes):
        if "|" in choices:  # format=a|b: all there is to say
            yield from (f"{name}={choice} " for choice in choices.split("|"))
        else:  # key=value: any key; dataset.key=value: any of that group; epochs=80: that one
            scope = name.removesuffix("key") if name.endswith("key") else f"{name}="
            yield from (item for item in _settings(before, word, folders) if item.lstrip("+~").startswith(scope))


def _settings(before: list[str], word: str, folders: list[Path]) -> Iterator[str]:
    """Keys up to their next dot, or after a `=` the values of one; in a sweep's list, after its last comma."""
    data, groups = _data(before, folders), files.options(folders)
    mark = word[: len(word) - len(word.lstrip("+~"))]
    name, equals, value = word[len(mark) :].partition("=")
    if equals:
        head, comma, _ = value.rpartition(",")
        for choice in list(groups[name]) if name in groups else _values(name, data):
            yield f"{mark}{name}={head}{comma}{choice} "
        return
    keys = [*groups, *known_keys(data)]
    parts = {key.rpartition(".")[0] for key in keys}
    for key in keys:
        if key.startswith(name) and not key.endswith("._target_") and (key not in parts or key in groups):
            end = key.find(".", len(name))
            yield mark + (f"{key}=" if end < 0 else key[: end + 1])


def _values(key: str, data: Mapping[str, Any]) -> list[str]:
    """What a key may be, where that is a choice: of words, true and false, or null among others."""
    group, _, name = key.partition(".")
    hint = get_type_hints(Config).get(group)
    if name:
        target = TARGETS.get(data.get(group, {}).get("_target_", "")) if hint == Target else hint
        hint = get_type_hints(target).get(name) if dataclasses.is_dataclass(target) else None
    found: list[str] = []
    for option in get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,):
        if get_origin(option) is Literal:
            found += map(str, get_args(option))
        elif option is DeviceName:
            found += ["auto", "cpu", "cuda", "mps"]
        elif option in (bool, type(None)):
            found += ["true", "false"] if option is bool else ["null"]
    return found


def _data(before: list[str], folders: list[Path]) -> dict[str, Any]:
    """The config that the words so far pick, as far as keys go: config.yaml with the file of each group's option."""
    config = _read(folders, "config.yaml")
    typed = {name.lstrip("+"): value.partition(",")[0] for name, _, value in (word.partition("=") for word in before)}
    experiment = _read(folders, f"experiment/{typed['experiment']}.yaml") if "experiment" in typed else {}
    for group, option in (_defaults(config) | _defaults(experiment) | typed).items():
        picked = _read(folders, f"{group}/{option}.yaml")
        if picked:
            config[group] = {**config.get(group, {}), **picked}
    return config


def _defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """{group: option} of a file's defaults list, `override /model: mlp` among them."""
    entries = [entry for entry in config.get("defaults") or [] if isinstance(entry, dict)]
    return {name.split()[-1].lstrip("/"): option for entry in entries for name, option in entry.items()}


def _read(folders: list[Path], name: str) -> dict[str, Any]:
    """A config file as plain data, {} where there is none that can be read."""
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) if path else None
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return data if isinstance(data, dict) else {}


def _runs(*, sweeps: bool) -> Iterator[str]:
    """latest, and the names of runs below outputs/, newest first."""
    root = Path("outputs")
    found = [run for run in layout.runs(root) if layout.SWEEPS not in run.relative_to(root).parts]
    if sweeps:
        found += [path.parent for path in root.glob(f"{layout.SWEEPS}/*/*/{layout.SWEEP}")]
    if found:
        yield f"{layout.LATEST} "
    for folder in sorted(found, key=lambda folder: folder.parts[-2:], reverse=True):
        yield f"{folder.name} "
