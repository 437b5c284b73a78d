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

    def read(self, overrides: Iterable[str]) -> dict[str, Any]:
        """{key: value} of the key=value words. Raises ConfigError for a key that may not change."""
        import yaml

        changes = {}
        for override in overrides:
            key, _, text = override.partition("=")
            if not any(fnmatch.fnmatchcase(key, pattern) for pattern in self.keys):
                raise ConfigError(f"{key} {self.refusal}", "|".join(self.keys).replace("*", "KEY") + "=…")
            changes[key] = yaml.safe_load(text)
        return changes
