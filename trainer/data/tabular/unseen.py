"""Values of new rows that training did not have: counted while rows are encoded, and named in warnings."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from trainer.data.tabular.column import Column, Kind
from trainer.text import counted, listed

MOST_NAMED = 32  # new categories of a column that are kept to be named
FAR = 1.0  # how far beyond the range of training a number is strange, in widths of that range

Spelling = Callable[[str], list[str]]


@dataclass
class Unseen:
    """Counts by column. categories: values of a category that training did not have; spelled: values that training
    had in another spelling, by (column, value, spelling); missing: values that are missing where training had none;
    far: numbers far outside the range of training, and examples of them."""

    categories: Counter[str] = field(default_factory=Counter)
    names: dict[str, set[str]] = field(default_factory=dict)
    spelled: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    missing: Counter[tuple[str, Kind]] = field(default_factory=Counter)
    far: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def category(self, column: Column, value: str, count: int) -> None:
        """Count a category that training did not have."""
        self.categories[column.name] += count
        if len(names := self.names.setdefault(column.name, set())) < MOST_NAMED:
            names.add(value)

    def numbers(self, column: Column, values: Any) -> None:
        """Count the numbers of a batch, float64 with NaN, that are missing or far outside the range of training."""
        self.holes(column, int(np.isnan(values).sum()))
        if column.low is None or column.high is None:
            return
        beyond = np.maximum(column.low - values, values - column.high)
        far = np.flatnonzero(beyond > FAR * (column.high - column.low))
        if len(far):
            self.far[column.name] += len(far)
            limits = f"{_shown(column.low, column.kind)} to {_shown(column.high, column.kind)}"
            example = _shown(float(values[far[np.argmax(beyond[far])]]), column.kind)
            self.examples.setdefault(column.name, f"{limits}: {example}")

    def holes(self, column: Column, count: int) -> None:
        """Count missing values, if training had none in the column."""
        if count and not column.missing:
            self.missing[column.name, column.kind] += count

    def warnings(self) -> Iterator[str]:
        """What to say, one line each."""
        for name, count in sorted(self.categories.items()):
            values = counted(count, "value")
            text = f"{name} has categories not seen in training, treated as other ({values})"
            yield f"{text}: {listed(sorted(self.names[name]), 60)}"
        by_name: dict[str, list[tuple[int, str, str]]] = {}
        for (name, value, spelling), count in self.spelled.items():
            by_name.setdefault(name, []).append((count, value, spelling))
        for name, entries in sorted(by_name.items()):
            count, (_, value, spelling) = sum(entry[0] for entry in entries), max(entries)
            values = counted(count, "value")
            yield f"{name} is written in another way than in training ({values}): {value} is read as {spelling}"
        for (name, kind), count in sorted(self.missing.items()):
            filled = "no category" if kind == "category" else "the mean"
            yield f"{name} has {counted(count, 'missing value')} and training had none: taken as {filled}"
        for name, count in sorted(self.far.items()):
            values = counted(count, "value")
            yield f"{name} has {values} far outside those of training, {self.examples[name]}"


def _shown(value: float, kind: Kind) -> str:
    """A number, or a date from its days since 1970."""
    if kind == "date" and abs(value) < 2**31:
        return str(np.datetime64(0, "D") + int(value // 1))
    return f"{value:.6g}"


@lru_cache(maxsize=1000)
def spelling_of(levels: tuple[str, ...]) -> Spelling | None:
    """How a value could be spelled to be among the levels, if they are all whole numbers, all whole numbers with .0
    at their end, or all booleans; None if they are not. Digits that begin with 0 are not numbers: 1.0 may mean 01."""
    for pattern, spell in (
        (r"[+-]?(0|[1-9]\d*)", lambda text: [re.sub(r"\.0+$", "", text)]),
        (r"[+-]?(0|[1-9]\d*)\.0", lambda text: [text + ".0"] if "." not in text else []),
        (r"(?i)true|false", lambda text: [text.lower(), text.title(), text.upper()]),
    ):
        if levels and all(re.fullmatch(pattern, level) for level in levels):
            return spell
    return None
