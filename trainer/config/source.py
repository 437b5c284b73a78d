"""The overrides that were typed, and the folders that they are composed from."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """What was typed, and the folders it is composed from."""

    overrides: list[str]
    folders: list[Path]
    name: str = "config"

    def __post_init__(self) -> None:
        object.__setattr__(self, "overrides", [_home_quoted(override) for override in self.overrides])


def _home_quoted(override: str) -> str:
    """Shells leave the ~ of key=~/file alone, and Hydra's grammar has none: it is quoted for whoever opens the file."""
    name, equals, value = override.partition("=")
    plain = value.startswith("~/") and not set(value) & set("\"'\\")
    return f"{name}{equals}'{value}'" if plain else override
