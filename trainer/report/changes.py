"""The keys in which a config differs from the defaults."""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from trainer.config import files
from trainer.config.schema import TARGETS
from trainer.config.target import FILLED_IN
from trainer.disk.outcome import Change
from trainer.tasks import losses

# Where and how, not what; threads and workers are resolved.
APART = ("output_dir", "report", "sweep", "threads", "loader.num_workers", "expect")

SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # with libyaml, ten times as fast


def changes(config: Mapping[str, Any], folders: list[Path]) -> list[Change]:
    """(key, value, default) as text, for every key that differs from conf/. In a group, first the chosen option, then
    the keys that differ from that option. Values that build fills in from the data are not changes."""
    options = files.options(folders)
    base = _parsed(_text_of(folders, "config.yaml"))
    default_options: dict[str, str] = {}
    for entry in base.pop("defaults", None) or []:
        default_options |= {group: str(option) for group, option in entry.items()} if isinstance(entry, dict) else {}
    rows = []
    for name, value in config.items():
        default = base.get(name)
        if name in TARGETS and isinstance(value, Mapping):
            default_option = default_options.get(name, "")
            option, contents = _option(folders, name, value, dict.fromkeys((default_option, *options.get(name, {}))))
            if option != default_option:
                rows.append((name, option, default_option))
            default = {**(default or {}), **contents}
        rows += list(_differences(name, value, default))
    return rows


def _option(
    folders: list[Path], group: str, node: Mapping[str, Any], names: Iterable[str]
) -> tuple[str, dict[str, Any]]:
    """(name, contents) of the option that a node was made from: the most similar one with its `_target_`, and the first
    of these in `names`. Where no option has the target, the name is the target."""
    target = str(node.get("_target_"))
    options = []
    for name in names:
        text = _text_of(folders, f"{group}/{name}.yaml")
        if target in text or (name == "auto" and target in losses.AUTO):  # parsing YAML is slow
            contents = _parsed(text)
            if contents.get("_target_") in (target, "auto"):
                options.append((name, contents | {"_target_": target}))
    default = target, {"_target_": target}
    return min(options, key=lambda option: len(list(_differences(group, node, option[1]))), default=default)


def _text_of(folders: list[Path], name: str) -> str:
    path = next((folder / name for folder in folders if (folder / name).is_file()), None)
    return path.read_text(encoding="utf-8", errors="replace") if path else ""


def _parsed(text: str) -> dict[str, Any]:
    try:
        data = SafeLoader(text).get_single_data()
    except yaml.YAMLError:  # a user's file that Hydra did not need
        return {}
    return data if isinstance(data, dict) else {}


def _differences(key: str, value: Any, default: Any) -> Iterator[Change]:
    if key in APART:
        return
    if isinstance(value, Mapping):
        known = default if isinstance(default, Mapping) else {}
        for name, inner in value.items():
            yield from _differences(f"{key}.{name}", inner, known.get(name))
    elif value != default and not (default is None and (value == "auto" or key.rpartition(".")[2] in FILLED_IN)):
        yield key, _text(value), _text(default)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)
