"""A composed config, and the same config checked against the schema."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from trainer.config import files
from trainer.config.check import Problem, check
from trainer.config.schema import Config
from trainer.config.source import Source
from trainer.errors import ConfigError


@dataclass(frozen=True)
class Composed:
    """One composed config: plain and resolved, with the option picked in each group."""

    data: dict[str, Any]
    choices: dict[str, str]
    multirun: bool
    source: Source

    def checked(self) -> Config:
        """The config as typed dataclasses. Raises ConfigError for the first key that is wrong."""
        return checked(self.data, self.source, self.choices)

    @contextmanager
    def locating(self) -> Iterator[None]:
        """Within: a ConfigError about a key says where that key was set."""
        try:
            yield
        except ConfigError as error:
            raise located(error, self.source, self.choices) from error


def checked(data: dict[str, Any], source: Source, choices: dict[str, str]) -> Config:
    """Plain data as a Config. Raises ConfigError with the key, where it was set and what to type."""
    try:
        return check(data)
    except Problem as problem:
        raise located(ConfigError(problem.message, problem.hint, problem.key), source, choices) from problem


def located(error: ConfigError, source: Source, choices: dict[str, str]) -> ConfigError:
    """The error with where its key was set."""
    where = error.key and files.set_where(error.key, source.overrides, choices, source.folders)
    return ConfigError(error.message + (f" ({where})" if where else ""), error.hint)


def choices_of(picked: Any) -> dict[str, str]:
    return {str(group): str(option) for group, option in picked.items() if option is not None}


def plain_data(cfg: Any) -> dict[str, Any]:
    from omegaconf import OmegaConf

    data: Any = OmegaConf.to_container(cfg, resolve=True)
    return {str(key): value for key, value in data.items() if key != "experiment"}
