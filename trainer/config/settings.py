"""A config as plain data, with where its values were set."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from trainer.config import files, first_weights, option_keys
from trainer.config.check import check
from trainer.config.picked import default, shown
from trainer.config.schema import Config
from trainer.config.source import Source
from trainer.config.unknown_key import UnknownKey
from trainer.errors import ConfigError


@dataclass(frozen=True)
class Settings:
    """A resolved config, not yet checked.

    source: what it was composed from; choices: the option picked in each group, empty for a stored config; multirun:
    whether it asks for a sweep.
    """

    data: dict[str, Any]
    source: Source = field(default_factory=Source)
    choices: dict[str, str] = field(default_factory=dict)
    multirun: bool = False

    def __post_init__(self) -> None:
        if self.choices:
            overrides, folders = self.source.overrides, self.source.folders
            data = option_keys.without_option_keys(self.data, overrides, self.choices, folders)
            data = option_keys.with_group_options(data, folders)
            object.__setattr__(self, "data", first_weights.in_config(data))

    @property
    def overrides(self) -> list[str]:
        """The words that make this config again: those that were typed, and the run that `init_from` of a file means
        now, since `latest` will mean another."""
        typed, path = self.source.overrides, self.data.get(first_weights.KEY)
        is_typed = any(word.lstrip("+").partition("=")[0] == first_weights.KEY for word in typed)
        return typed if is_typed or not path else [*typed, first_weights.word(path)]

    def check(self) -> Config:
        """The config as typed dataclasses. Raises ConfigError with the first wrong key and where it was set."""
        with self.locating():
            return check(self.data)

    @contextmanager
    def locating(self) -> Iterator[None]:
        """Within: a ConfigError about a key also says where that key was set."""
        try:
            yield
        except ConfigError as error:
            source, key = self.source, error.key or ""
            where = key and files.set_where(key, source.overrides, self.choices, source.folders)
            hint = error.hint
            if isinstance(error, UnknownKey) and where and where != files.TYPED:
                hint = error.in_a_file()
            elif hint is None and where in ("", files.TYPED) and key:
                hint = self._default(key)
            text = error.message + (f" ({where})" if where else "")
            raise ConfigError(text, hint and self._forced(hint)) from error

    def _default(self, key: str) -> str | None:
        """A value that the key takes: that of the option that was picked."""
        value = default(key, self.source.overrides, self.source.folders)
        return shlex.quote(f"{key}={shown(value)}") if value is not None and not isinstance(value, dict) else None

    def _forced(self, hint: str) -> str:
        """A hint with ++ before the keys that were added with a +, which Hydra does not know without."""
        added = {word.lstrip("+").partition("=")[0] for word in self.source.overrides if word.startswith("+")}
        return " ".join(f"++{word}" if word.partition("=")[0] in added else word for word in hint.split(" "))
