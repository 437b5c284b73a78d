"""A column of a table as the model sees it."""

from dataclasses import dataclass
from typing import Literal

import xxhash

Kind = Literal["number", "date", "category"]
KINDS = ("number", "date", "category")
MOST_LEVELS = 32  # categories of a column with their own input


@dataclass(frozen=True)
class Column:
    """A column that the model learns from. levels: of a category, most frequent first; other, missing: whether
    training had rows with another level, or without a value. low, high: of a number or date, in training; None if not
    known. rare: ids of the levels beyond `levels` that training had; empty if not known."""

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()
    other: bool = False
    missing: bool = False
    low: float | None = None
    high: float | None = None
    rare: frozenset[int] = frozenset()

    @property
    def width(self) -> int:
        """The number of inputs of the model that it becomes."""
        return (len(self.levels) + self.other if self.kind == "category" else 1) + self.missing

    @property
    def is_open(self) -> bool:
        """Whether training had levels that are not known."""
        return self.other and not self.rare

    def has(self, level: str) -> bool:
        """Whether training had a level, as far as is known."""
        return level in self.levels or (bool(self.rare) and level_id(level) in self.rare)


def level_id(level: str) -> int:
    """64 bits that stand for a level: a column may have 100,000 of them, each of any length."""
    return int.from_bytes(xxhash.xxh3_64_digest(level.encode()), "little", signed=True)
