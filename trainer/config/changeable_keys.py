"""The keys that may be typed beside a stored run or sweep."""

import fnmatch
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from trainer.errors import ConfigError
from trainer.terminal.spelling import closest


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
                meant = closest(key, self.keys)
                typed = shlex.quote(f"{meant}={text}") if meant and "*" not in meant else f"leave {key} out"
                raise ConfigError(f"{key} {self.refusal}; these can: {', '.join(self.keys)}", instead or typed)
            changes[key] = yaml.safe_load(text)
        return changes
