"""What a config changes of what trainer would have done by itself."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from trainer.config import files
from trainer.data import facts
from trainer.tasks import losses

FILLED = (*facts.INPUT_NAMES, *facts.OUTPUT_NAMES, "in_channels")  # by build, from the data
GROUPS = ("dataset", "model", "loss", "optimizer", "scheduler")
APART = ("output_dir", "report", "sweep", "threads", "expect")  # where and how, not what; threads are resolved

SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the same, ten times as fast, where libyaml is there


def changes(config: Mapping[str, Any], folders: list[Path]) -> list[tuple[str, str, str]]:
    """(key, value, default) as text of every key that is not as in conf/; of a group, first the option that was picked
    and then what differs from that option. What build fills in from the data is no change."""
    options = files.options(folders)
    base = _parsed(_text_of(folders, "config.yaml"))
    usual_options: dict[str, str] = {}
    for entry in base.pop("defaults", None) or []:
        usual_options |= {group: str(option) for group, option in entry.items()} if isinstance(entry, dict) else {}
    rows = []
    for name, value in config.items():
        if name in APART:
            continue
        default = base.get(name)
        if name in GROUPS and isinstance(value, Mapping):
            usual = usual_options.get(name, "")
            names = dict.fromkeys((usual, *options.get(name, {})))
            option, shipped = _option(folders, name, value, names)
            if option != usual:
                rows.append((name, option, usual))
            default = {**(default or {}), **shipped}
        rows += list(_differences(name, value, default))
    return rows


def _option(
    folders: list[Path], group: str, node: Mapping[str, Any], names: Iterable[str]
) -> tuple[str, dict[str, Any]]:
    """(name, contents) of the option that a node was made from: of those with its `_target_` the one that is most like
    it, the first of `names` if in doubt; the target's own name where no option has it."""
    target = str(node.get("_target_"))
    found = {}
    for name in names:
        text = _text_of(folders, f"{group}/{name}.yaml")
        if target in text or (name == "auto" and target in losses.AUTO.values()):  # YAML takes a while to parse
            contents = _parsed(text)
            if contents.get("_target_") in (target, "auto"):
                found[name] = contents | {"_target_": target}
    if not found:
        return target, {"_target_": target}
    return min(found.items(), key=lambda option: len(list(_differences(group, node, option[1]))))


def _text_of(folders: list[Path], name: str) -> str:
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    return path.read_text(encoding="utf-8", errors="replace") if path else ""


def _parsed(text: str) -> dict[str, Any]:
    try:
        data = SafeLoader(text).get_single_data()
    except yaml.YAMLError:  # a file of the user's that Hydra did not need
        return {}
    return data if isinstance(data, dict) else {}


def _differences(key: str, value: Any, default: Any) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, Mapping):
        known = default if isinstance(default, Mapping) else {}
        for name, inner in value.items():
            yield from _differences(f"{key}.{name}", inner, known.get(name))
    elif value != default and not (default is None and key.rpartition(".")[2] in FILLED):
        yield key, _text(value), _text(default)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
