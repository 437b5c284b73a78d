"""A column of a table as the model sees it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "date", "category"]
KINDS = ("number", "date", "category")
MOST_LEVELS = 32  # categories of a column with their own input


@dataclass(frozen=True)
class Column:
    """A column that the model learns from. levels: of a category, most frequent first; other, missing: whether
    training had rows with another level, or without a value."""

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()
    other: bool = False
    missing: bool = False

    @property
    def width(self) -> int:
        """The number of inputs of the model that it becomes."""
        return (len(self.levels) + self.other if self.kind == "category" else 1) + self.missing
