"""A run folder that a verb works on: found, read, changed by what was typed, checked, and allowed its imports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.config import composition, user_modules
from trainer.config.run_config import Stored, read_config
from trainer.config.schema import Config
from trainer.config.source import Source
from trainer.disk import layout
from trainer.errors import ConfigError


@dataclass(frozen=True)
class OpenRun:
    """A stored run. data: its config as plain data, with the changes in it; config: the same, checked."""

    folder: Path
    data: Stored
    config: Config


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """(names of runs, key=value words)."""
    names = [word for word in words if "=" not in word or Path(word).exists()]
    return names, [word for word in words if word not in names]


def one_name(verb: str, names: Sequence[str]) -> str:
    """The only name among the words, or latest. Raises ConfigError for several."""
    if len(names) > 1:
        raise ConfigError(f"{verb} takes one run, not {' and '.join(names)}", f"trainer {verb} {names[0]}")
    return names[0] if names else layout.LATEST


def open_run(
    name: str,
    changes: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    *,
    trusted: bool,
) -> OpenRun:
    """The run of that name with some keys changed, ready to be built. Raises ConfigError, StorageError.

    overrides: the words typed for the changes, which an error names. trusted: --trust was typed. What this user signed,
    or trusts, may import modules from the current folder.
    """
    folder = layout.find(name)
    data = read_config(folder, trusted=trusted)
    for key, value in (changes or {}).items():
        group, _, last = key.rpartition(".")
        node = data.setdefault(group, {}) if group else data
        node[last] = value
    config = composition.checked(data, Source(list(overrides), []), {})
    if data.own:
        user_modules.allow_user_modules()
    return OpenRun(folder, data, config)
