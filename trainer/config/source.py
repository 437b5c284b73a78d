"""The overrides that were typed, and the folders that a config is composed from."""

from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path

from trainer.config import files, first_weights


@dataclass(frozen=True)
class Source:
    """overrides: the words typed; folders: where the config files are, the first match wins; name: the main file."""

    overrides: list[str] = field(default_factory=list)
    folders: list[Path] = field(default_factory=list)
    name: str = "config"

    def __post_init__(self) -> None:
        words = [first_weights.typed(_home_quoted(override)) for override in self.overrides]
        object.__setattr__(self, "overrides", words)

    @classmethod
    def of(cls, args: Namespace) -> "Source":
        """The source that a verb's parser read: overrides, config_dir and config_name."""
        return cls(args.overrides, files.roots(args.config_dir), args.config_name)


def _home_quoted(override: str) -> str:
    """Quote the ~ of key=~/file: shells leave it alone there, and Hydra's grammar does not have it."""
    name, equals, value = override.partition("=")
    plain = value.startswith("~/") and not set(value) & set("\"'\\")
    return f"{name}{equals}'{value}'" if plain else override
