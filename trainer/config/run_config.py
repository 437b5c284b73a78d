"""A run folder's config, read as plain data and checked before anything is built from it: see trust.py."""

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
from trainer.text import cut, first_few


class Stored(dict[str, Any]):
    """A stored config. signed: this user signed the bytes that were read, so they sign what replaces it. trusted: they
    signed it or typed --trust, so it may import any class and download data."""

    signed: bool = False
    trusted: bool = False


def read_config(folder: Path, *, trust_it: bool = False) -> Stored:
    """Read config.yaml of a run folder. trust_it: --trust was typed.

    Raises ConfigError if it is not plain data, or names a class that is unknown without this user's signature, and
    StorageError if it cannot be read.
    """
    path = folder / layout.CONFIG
    text = _text(path)
    data = Stored(parse(text, path))
    data.signed = data.trusted = signature.is_signed(folder, text)
    if signature.is_changed(folder, text):
        complain(f"warning: {path} has changed since the run wrote it")
    if not data.trusted and (named := trust.strangers(data)):
        if not trust_it:
            command = shlex.join(["trainer", *sys.argv[1:], "--trust"])
            what = f"{path} would import {first_few([cut(name, 200) for name in named], 1)}"
            raise ConfigError(f"{what}, and is not signed with your key", f"if you trust its author: {command}")
        complain(f"trust    importing {', '.join(cut(name, 200) for name in named)}")
    data.trusted = data.trusted or trust_it
    return data


def read_plain(folder: Path) -> dict[str, Any]:
    """config.yaml of a run folder as plain data, for a reader that builds nothing from it. Raises as read_config does,
    but does not judge the classes that it names."""
    path = folder / layout.CONFIG
    return parse(_text(path), path)


def _text(path: Path) -> bytes:
    try:
        return reading.read_file(path)
    except (FileNotFoundError, reading.Damaged) as error:
        raise StorageError(f"cannot read {path}: {error}") from error


def read_overrides(folder: Path) -> list[str]:
    """The words in overrides.yaml, or [] if it cannot be read."""
    try:
        return reading.items(yaml.safe_load(reading.read_file(folder / layout.OVERRIDES)), str)
    except (FileNotFoundError, reading.Damaged, yaml.YAMLError, ValueError, RecursionError):
        return []


def parse(text: bytes, path: Path) -> dict[str, Any]:
    """Plain data from YAML. Raises ConfigError for tags, aliases, interpolations and repeated keys."""
    try:
        data = _Plain(text.decode()).get_single_data()
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or str(error)
        raise ConfigError(f"{path}{place} cannot be read: {reason}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} does not hold a config")
    _check_plain(data, "", path)
    return data


def _check_plain(value: Any, key: str, path: Path) -> None:
    if isinstance(value, dict):
        for name, inner in value.items():
            if not isinstance(name, str):
                raise ConfigError(f"{path}: the key {name!r} is not text")
            _check_plain(inner, f"{key}.{name}", path)
    elif isinstance(value, list):
        for inner in value:
            _check_plain(inner, key, path)
    elif isinstance(value, (bytes, set, datetime.date)):
        raise ConfigError(f"{path}: {key[1:]} is of type {type(value).__name__}, which a config cannot hold")
    elif isinstance(value, str) and "${" in value:
        raise ConfigError(f"{path}: {key[1:]} is an interpolation, but a run's config is resolved")


class _FastLoader(yaml.composer.Composer, getattr(yaml, "CSafeLoader", object)):  # type: ignore[misc]
    """SafeLoader whose events come from libyaml, which is five times as fast; its nodes are made in Python."""

    def __init__(self, stream: str) -> None:
        yaml.CSafeLoader.__init__(self, stream)
        yaml.composer.Composer.__init__(self)


class _Plain(_FastLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """SafeLoader that refuses aliases, tags, deep nesting and repeated keys."""

    level = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event: Any = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            self._refuse("aliases are not plain data", event)
        if getattr(event, "tag", None):
            self._refuse("tags are not plain data", event)
        self.level += 1
        if self.level > reading.DEPTH:
            self._refuse("nested too deeply", event)
        node = super().compose_node(parent, index)
        self.level -= 1
        if isinstance(node, yaml.MappingNode):
            names = [name.value for name, _ in node.value if isinstance(name, yaml.ScalarNode)]
            if len(set(names)) != len(node.value):
                self._refuse("a key is repeated", event)
        return node

    def _refuse(self, reason: str, event: Any) -> None:
        raise yaml.composer.ComposerError(None, None, reason, event.start_mark)


def write(folder: Path, config: Config, *, sign: bool) -> None:
    """Write config.yaml. sign: also this user's signature of it; false if it replaces one that they had not signed."""
    data = dump(dataclasses.asdict(config))
    if sign:
        signature.sign(folder, layout.CONFIG, data)
    storage.write_file(folder / layout.CONFIG, data)


def dump(value: Any) -> bytes:
    """A value as YAML, keys in their order."""
    text: str = yaml.dump(value, Dumper=_NoAliases, sort_keys=False, allow_unicode=True)
    return text.encode()


class _NoAliases(yaml.SafeDumper):
    """SafeDumper that repeats a value instead of writing an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True
