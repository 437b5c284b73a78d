"""A config as plain data, with where its values were set."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from trainer.config import files, option_keys
from trainer.config.check import check
from trainer.config.schema import Config
from trainer.config.source import Source
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
            object.__setattr__(self, "data", data)

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
            where = error.key and files.set_where(error.key, self.source.overrides, self.choices, self.source.folders)
            raise ConfigError(error.message + (f" ({where})" if where else ""), error.hint) from error
