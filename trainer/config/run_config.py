"""A run folder's config, read as plain data and judged before anybody builds from it: see trust.py."""

import dataclasses
import datetime
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

from trainer.config import trust
from trainer.config.schema import Config
from trainer.disk import layout, reading, signature, storage
from trainer.errors import ConfigError, StorageError, complain


class Stored(dict[str, Any]):
    """The config. own: this user signed it, so that classes of one's own are welcome and data may be downloaded."""

    own: bool = False


def read_config(folder: Path, *, trusted: bool = False) -> Stored:
    """config.yaml of a run folder. trusted: --trust was typed.

    Raises ConfigError for what is not plain data, and for a `_target_` that is neither known nor signed by this user;
    StorageError where there is no file to read.
    """
    path = folder / layout.CONFIG
    try:
        text = reading.read_file(path)
    except (FileNotFoundError, reading.Damaged) as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    data = Stored(parse(text, path))
    data.own = signature.is_signed(folder, text)
    if not data.own and (named := trust.strangers(data)):
        if not trusted:
            typed = shlex.join(["trainer", *sys.argv[1:], "--trust"])
            what = f"{path} would import {named[0]}" + f" and {len(named) - 1} more" * (len(named) > 1)
            raise ConfigError(f"{what}, and does not bear your signature", f"if you trust whoever made it: {typed}")
        complain(f"trust    importing {', '.join(named)}")
        data.own = True
    return data


def read_overrides(folder: Path) -> list[str]:
    """The words in overrides.yaml; [] where it cannot be read."""
    try:
        typed = yaml.safe_load(reading.read_file(folder / layout.OVERRIDES))
    except (FileNotFoundError, reading.Damaged, yaml.YAMLError, ValueError, RecursionError):
        return []
    return reading.items(typed, str)


def parse(text: bytes, path: Path) -> dict[str, Any]:
    """Plain data from YAML: no tags, aliases, interpolations, doubled keys. Raises ConfigError."""
    try:
        data = _Plain(text.decode()).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{path}{place} cannot be read: {reason}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} holds no config")
    _check_plain(data, "", path)
    return data


def _check_plain(value: Any, key: str, path: Path) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise ConfigError(f"{path}: the key {name!r} is no name")
            _check_plain(inner, f"{key}.{name}", path)
    elif isinstance(value, list):
        for inner in value:
            _check_plain(inner, key, path)
    elif isinstance(value, (bytes, set, datetime.date)):
        raise ConfigError(f"{path}: {key[1:]} is a {type(value).__name__}, which no config holds")
    elif isinstance(value, str) and "${" in value:
        raise ConfigError(f"{path}: {key[1:]} is an interpolation, and a run's config is resolved")


class _Plain(yaml.SafeLoader):
    """SafeLoader without aliases, tags and depth, and with each key once."""

    level = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            self._refuse("aliases are not plain data", event)
        if getattr(event, "tag", None):
            self._refuse("tags are not plain data", event)
        self.level += 1
        if self.level > reading.DEPTH:
            self._refuse("nested too deep", event)
        node = super().compose_node(parent, index)
        self.level -= 1
        if isinstance(node, yaml.MappingNode):
            names = [name.value for name, _ in node.value if isinstance(name, yaml.ScalarNode)]
            if len(set(names)) != len(node.value):
                self._refuse("a key stands twice", event)
        return node

    def _refuse(self, reason: str, event: Any) -> None:
        raise yaml.composer.ComposerError(None, None, reason, event.start_mark)


def write(folder: Path, config: Config) -> None:
    """Write config.yaml, and this user's signature of it."""
    data = dump(dataclasses.asdict(config))
    signature.sign(folder, data)
    storage.write_file(folder / layout.CONFIG, data)


def dump(value: Any) -> bytes:
    """YAML, keys in their order."""
    text: str = yaml.dump(value, Dumper=_NoAliases, sort_keys=False, allow_unicode=True)
    return text.encode()


class _NoAliases(yaml.SafeDumper):
    """SafeDumper that writes a value again where others would write an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
