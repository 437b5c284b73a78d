"""Options and their keys: those of an option whose `_target_` was typed over, and the options of optimizer.groups."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from trainer.config import files
from trainer.config.check import MISSING
from trainer.config.options import common
from trainer.config.schema import TARGETS
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest
from trainer.text import listed


def without_option_keys(
    data: dict[str, Any], overrides: Sequence[str], choices: Mapping[str, str], folders: Sequence[Path]
) -> dict[str, Any]:
    """A composed config without the keys that came with an option whose `_target_` was replaced.

    Keys that were typed, on the command line or in an experiment, stay: the class gets them, or they are refused.
    choices: the option picked in each group; folders: where the config files are.
    """
    for group in TARGETS:
        node, option = data.get(group), _option(group, choices.get(group, ""), tuple(folders))
        default = str(option.get("_target_", MISSING))
        is_open = default == MISSING or "${" in default  # an option for any class: its keys are meant for that
        if isinstance(node, dict) and not is_open and node.get("_target_") != default:
            typed = {name for name in option if _is_typed(f"{group}.{name}", node.get(name), option[name], overrides)}
            if choices.get("experiment"):
                path = files.find(f"experiment/{choices['experiment']}.yaml", list(folders))
                typed |= {name for name in option if path is not None and files.line_of(path, [group, name])}
            kept = {name: value for name, value in node.items() if name not in option or name in typed}
            data = {**data, group: kept}
    return data


def with_group_options(data: dict[str, Any], folders: Sequence[Path]) -> dict[str, Any]:
    """A composed config in which a node stands for each option that optimizer.groups names: sgd becomes what is in
    optimizer/sgd.yaml. Raises ConfigError for an option that does not exist."""
    node = data.get("optimizer")
    groups = node.get("groups") if isinstance(node, dict) else None
    if not isinstance(node, dict) or not isinstance(groups, list) or not groups:
        return data
    groups = [_with_option(f"optimizer.groups.{number}", group, folders) for number, group in enumerate(groups)]
    return {**data, "optimizer": {**node, "groups": groups}}


def _with_option(key: str, group: Any, folders: Sequence[Path]) -> Any:
    name = group.get("optimizer") if isinstance(group, dict) else None
    if not isinstance(name, str):
        return group
    option = _option("optimizer", name, tuple(folders))
    if not option:
        known = files.options(list(folders))["optimizer"]
        hint = f"{key}.optimizer={closest(name, known) or next(iter(known))}"
        raise ConfigError(f"{key}.optimizer={name}: no optimizer '{name}'; there are {listed([*known])}", hint)
    return {**group, "optimizer": {word: value for word, value in option.items() if word not in common("optimizer")}}


def _is_typed(key: str, value: Any, default: Any, overrides: Sequence[str]) -> bool:
    names = [override.lstrip("+~").partition("=")[0] for override in overrides]
    is_interpolation = isinstance(default, str) and "${" in default
    typed = any(name == key or name.startswith(f"{key}.") for name in names)
    return typed or key.endswith("._target_") or (value != default and not is_interpolation)


def _option(group: str, name: str, folders: tuple[Path, ...]) -> dict[str, Any]:
    """The keys of an option's file, with those of the options of its group that it lists as defaults."""
    path = files.find(f"{group}/{name}.yaml", list(folders))
    if path is None:
        return {}
    own = _read(path, path.stat().st_mtime_ns)
    inherited = [entry for entry in own.get("defaults", []) if isinstance(entry, str) and entry not in ("_self_", name)]
    merged: dict[str, Any] = {}
    for other in inherited:
        merged |= _option(group, other, folders)
    return merged | {key: value for key, value in own.items() if key != "defaults"}


@lru_cache(maxsize=64)
def _read(path: Path, changed: int) -> dict[str, Any]:
    """changed: when the file was written, so that an edited file is read again."""
    import yaml

    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    return data if isinstance(data, dict) else {}
