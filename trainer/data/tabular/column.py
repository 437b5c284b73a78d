"""A column of a table, as the model sees it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["number", "date", "category"]
KINDS = ("number", "date", "category")
MOST_LEVELS = 32  # categories of one column that have an input of their own


@dataclass(frozen=True)
class Column:
    """One column that the model learns from. levels, most frequent first: a category's; other, missing: whether
    training had rows with another level, or with none."""

    name: str
    kind: Kind
    levels: tuple[str, ...] = ()
    other: bool = False
    missing: bool = False

    @property
    def width(self) -> int:
        """How many inputs of the model it becomes."""
        return (len(self.levels) + self.other if self.kind == "category" else 1) + self.missing
