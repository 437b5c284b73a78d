"""The config that a few words pick, read from its files without Hydra: for completion and for slips."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from trainer.config import files


def picked(words: Sequence[str], folders: list[Path]) -> dict[str, Any]:
    """The keys of the config that these words pick: config.yaml with the file of each group's option. No Hydra."""
    config = read(folders, "config.yaml")
    typed = {name.lstrip("+"): value.partition(",")[0] for name, _, value in (word.partition("=") for word in words)}
    experiment = read(folders, f"experiment/{typed['experiment']}.yaml") if "experiment" in typed else {}
    for group, option in (_defaults(config) | _defaults(experiment) | typed).items():
        if node := read(folders, f"{group}/{option}.yaml"):
            config[group] = {**config.get(group, {}), **node}
    return config


def default(key: str, words: Sequence[str], folders: list[Path]) -> Any:
    """The value of a dotted key in the config that these words pick, or None. Interpolations and ??? are none."""
    groups = files.options(folders)
    node: Any = picked([word for word in words if word.partition("=")[0] in groups], folders)
    for part in key.split("."):
        node = node.get(part) if isinstance(node, dict) else None
    return None if isinstance(node, str) and (node == "???" or "${" in node) else node


def shown(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(shown, value)) + "]"
    if isinstance(value, Mapping):
        return "{…}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """{group: option} of a file's defaults list, `override /model: mlp` included."""
    entries = [entry for entry in config.get("defaults") or [] if isinstance(entry, dict)]
    return {name.split()[-1].lstrip("/"): option for entry in entries for name, option in entry.items()}


def read(folders: list[Path], name: str) -> dict[str, Any]:
    """A config file as plain data, or {} if there is none that can be read."""
    path = files.find(name, folders)
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) if path else None
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return data if isinstance(data, dict) else {}
