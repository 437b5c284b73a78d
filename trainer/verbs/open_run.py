"""Open the run folder that a verb works on: find, read, change and check its config, and allow its imports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.config import user_modules
from trainer.config.run_config import Stored, read_config
from trainer.config.schema import Config
from trainer.config.settings import Settings
from trainer.config.source import Source
from trainer.disk import layout
from trainer.errors import ConfigError


@dataclass(frozen=True)
class OpenRun:
    """A stored run. data: its config as plain data, changes included; config: the same, checked."""

    folder: Path
    data: Stored
    config: Config


def split_words(verb: str, words: Sequence[str]) -> tuple[str, list[str]]:
    """(name of the run, or latest if there is none; key=value words). Raises ConfigError for several names."""
    names = [word for word in words if "=" not in word or Path(word).exists()]
    if len(names) > 1:
        raise ConfigError(f"{verb} takes one run, not {' and '.join(names)}", f"trainer {verb} {names[0]}")
    return (names or [layout.LATEST])[0], [word for word in words if word not in names]


def open_run(
    name: str, changes: Mapping[str, Any] | None = None, overrides: Sequence[str] = (), *, trust_it: bool
) -> OpenRun:
    """Open a run, ready to be built. A config that this user signed or trusts may import from the current folder.

    changes: {dotted key: new value}; overrides: the words typed for them; trust_it: --trust was typed.
    Raises ConfigError, and StorageError if the config cannot be read.
    """
    folder = layout.find(name)
    data = read_config(folder, trust_it=trust_it)
    for key, value in (changes or {}).items():
        group, _, last = key.rpartition(".")
        (data.setdefault(group, {}) if group else data)[last] = value
    config = Settings(data, Source(list(overrides))).check()
    if data.trusted:
        user_modules.allow_user_modules()
    return OpenRun(folder, data, config)
