"""Settings that are given by name, as words of the command line: optimizer__lr=1e-3 is optimizer.lr=0.001."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from pathlib import PurePath
from typing import Any

from trainer.config.schema import Config, Expect, Target
from trainer.config.schema_key import keys
from trainer.errors import ConfigError

KEYS = tuple(keys(Config))
GROUPS = {name for name, field in keys(Config).items() if field.type in (Target, Expect) or is_dataclass(field.type)}
PLAIN = re.compile(r"[A-Za-z_/][\w./-]*", re.ASCII)  # text that needs no quotes
OTHERS = re.compile(r"true|false|null|nan|inf|infinity", re.IGNORECASE)  # words that are not text
HOLDS = "a number, text, True, False, None, or a list or dict of them"


def words(settings: Iterable[tuple[str, Any]], overrides: Iterable[str]) -> list[str]:
    """The words for settings, of which later ones win; those that `overrides` has too are left out. A dict for a group,
    such as optimizer, holds its keys. Raises ConfigError for a value that no config can hold."""
    typed, flat = {_key(word) for word in overrides}, dict[str, Any]()
    for name, value in settings:
        key = name.replace("__", ".")
        is_group = key in GROUPS and isinstance(value, Mapping)
        flat |= {f"{key}.{inner}": v for inner, v in value.items()} if is_group else {key: value}
    own = {key.partition(".")[0] for key in flat if key.endswith("._target_")} | {"expect"}  # whose keys no file lists
    options = [f"{group}=own" for group in ("dataset", "model") if f"{group}._target_" in flat and group not in flat]
    found = [f"{'++' * _is_added(key, own)}{key}={_value(value, key)}" for key, value in flat.items()]
    return [word for word in (*options, *found) if _key(word) not in typed]


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]


def _is_added(key: str, own: set[str]) -> bool:
    group, _, rest = key.partition(".")
    return group in own and bool(rest) and rest != "_target_"


def _value(value: Any, key: str) -> str:
    """A value in Hydra's grammar."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (str, PurePath)):
        return _text(str(value))
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{_text(str(name))}:{_value(inner, key)}" for name, inner in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(_value(inner, key) for inner in value) + "]"
    kind = type(value)
    if kind.__module__ == "torch" and kind.__name__ in ("dtype", "device"):
        return str(value).removeprefix("torch.")
    if kind.__module__ == "numpy" and callable(getattr(value, "tolist", None)):
        return _value(value.tolist(), key)
    raise ConfigError(f"{key}= is a {kind.__name__}, which a config cannot hold", HOLDS, key)


def _text(text: str) -> str:
    if PLAIN.fullmatch(text) and not OTHERS.fullmatch(text):
        return text
    text = text.replace("${", r"\${")  # no interpolation
    escaped = re.sub(r"(\\*)('|$)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text)
    return f"'{escaped}'"
