"""The keys that may be typed beside a stored run or sweep."""

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from trainer.errors import ConfigError


@dataclass(frozen=True)
class Changeable:
    """keys: patterns such as epochs or dataset.*; refusal: why no other key may change."""

    keys: tuple[str, ...]
    refusal: str

    def read(self, overrides: Iterable[str], instead: str | None = None) -> dict[str, Any]:
        """{key: value} of the key=value words. instead: the command that any other key needs. Raises ConfigError for a
        key that may not change."""
        import yaml

        changes = {}
        for override in overrides:
            key, _, text = override.partition("=")
            if not any(fnmatch.fnmatchcase(key, pattern) for pattern in self.keys):
                may = "|".join(self.keys).replace("*", "KEY") + "=…"
                text = f"{key} {self.refusal}"
                raise ConfigError(*(text, may) if instead is None else (f"{text}; what can change is {may}", instead))
            changes[key] = yaml.safe_load(text)
        return changes
