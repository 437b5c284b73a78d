"""The second pass over a table: statistics of its training rows alone, in bounded memory."""

import math
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from trainer.data.tabular import matrix
from trainer.data.tabular.batch import masked
from trainer.data.tabular.column import MOST_LEVELS, Column, Kind, level_id
from trainer.data.tabular.conversion import Floats, to_text
from trainer.data.tabular.source import Source

MOST_COUNTED = 100_000  # distinct texts of a column that are counted
CHUNK = 8192  # values of a column at once
FEW = 64  # values that fsum adds as fast as numpy does
EPSILON = sys.float_info.epsilon
LARGEST = 1e150  # the square of a larger number may be infinite


@dataclass
class Moments:
    """Count, mean and spread of the finite values of a column.

    They depend on the values and their order alone, not on how a table is cut into files and batches: values are taken
    CHUNK at a time. Sums are exact, so the mean is the nearest float64 in any order; the squares of the chunks are
    merged as in Chan, Golub and LeVeque 1979.
    """

    count: int = 0
    sum: Fraction = Fraction(0)
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    missing: int = 0
    infinite: int = 0
    waiting: list[Floats] = field(default_factory=list)

    def add(self, values: Floats) -> None:
        """Add a batch of the column."""
        finite = values[np.isfinite(values)]
        self.infinite += int(np.isinf(values).sum())
        self.missing += len(values) - len(finite)
        self.waiting.append(finite)
        if sum(map(len, self.waiting)) >= CHUNK:
            values = np.concatenate(self.waiting)
            last = len(values) - len(values) % CHUNK
            self.waiting = [values[last:].copy()]
            for first in range(0, last, CHUNK):
                self._take(values[first : first + CHUNK])

    def close(self) -> None:
        """Take the last values. To be called once, after all batches."""
        values, self.waiting = np.concatenate([*self.waiting, np.empty(0)]), []
        if len(values):
            self._take(values)

    def _take(self, values: Floats) -> None:
        self.low, self.high = min(self.low, float(values.min())), max(self.high, float(values.max()))
        if max(abs(self.low), abs(self.high)) > LARGEST:
            self.squares, values = math.inf, np.zeros_like(values)
        total, count = exact_sum(values), self.count + len(values)
        rest = values - float(total / len(values))
        squares = max(float(np.square(rest).sum()) - float(rest.sum()) ** 2 / len(values), 0.0)
        if self.count:
            apart = float(total / len(values) - self.sum / self.count)
            squares += apart * apart * self.count * len(values) / count
        self.count, self.sum, self.squares = count, self.sum + total, self.squares + squares

    @property
    def mean(self) -> float:
        """The mean; 0 without values."""
        return float(self.sum / self.count) if self.count else 0.0

    @property
    def constant(self) -> bool:
        """Whether all values are equal, but for the last two bits of numbers that are not whole."""
        apart, whole = self.high - self.low, self.low.is_integer() and self.high.is_integer()
        return apart <= (0.0 if whole else 4 * EPSILON * max(abs(self.low), abs(self.high)))

    @property
    def std(self) -> float:
        """The population's standard deviation. If all values are equal, their size, or 1 if they are 0: a column is
        then kept for its missing values alone, and a new value in it should not become huge."""
        if self.constant:
            return abs(self.mean) or 1.0
        return float((self.squares / self.count) ** 0.5) or self.high - self.low


def exact_sum(values: Floats) -> Fraction:
    """The sum of float64 values (N,), N > 0, to about 100 bits: halves are added, and what each addition rounds off is
    added too (Knuth's two-sum)."""
    rounded_off = 0.0
    while len(values) > FEW:
        values = np.append(values, 0.0) if len(values) % 2 else values
        a, b = values[: len(values) // 2], values[len(values) // 2 :]
        values = a + b
        of_b = values - a
        rounded_off += float(((a - (values - of_b)) + (b - of_b)).sum())
    high = math.fsum(values.tolist())
    return Fraction(high) + Fraction(math.fsum([*values.tolist(), -high])) + Fraction(rounded_off)


@dataclass
class Levels:
    """How often each text occurs in a column. uncounted: values that came after MOST_COUNTED different ones."""

    counts: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    uncounted: int = 0

    def add(self, text: Any) -> None:
        """Add a batch of the column, as text."""
        self.missing += text.null_count
        for entry in text.drop_null().value_counts().to_pylist():
            if entry["values"] in self.counts or len(self.counts) < MOST_COUNTED:
                self.counts[entry["values"]] += entry["counts"]
            else:
                self.uncounted += entry["counts"]


def fit(source: Source, kinds: dict[str, Kind], keep: Any) -> dict[str, Moments | Levels]:
    """Describe each column of `kinds` in one pass. keep: (N,) bool, the training rows."""
    tallies: dict[str, Moments | Levels] = {n: Levels() if k == "category" else Moments() for n, k in kinds.items()}
    for batch, rows in masked(source.batches(list(kinds)), keep):
        for name, tally in tallies.items():
            if isinstance(tally, Levels):
                tally.add(to_text(batch.columns[name], source.dialect).filter(pa.array(rows)))
            else:
                tally.add(matrix.numbers_of(batch, name, kinds[name], source.dialect)[rows])
    for tally in tallies.values():
        if isinstance(tally, Moments):
            tally.close()
    return tallies


def row_numbers(source: Source, columns: Iterable[Column], num_rows: int) -> list[str]:
    """The columns of numbers that only count the rows: whole numbers one after another, each once, in any order.
    num_rows: of the source."""
    return [column.name for column in columns if column.kind == "number" and _counts_rows(source, column, num_rows)]


def _counts_rows(source: Source, column: Column, num_rows: int) -> bool:
    low, high = column.low or 0.0, column.high or 0.0  # of the training rows: all begin somewhere below low
    if column.missing or not (low.is_integer() and high.is_integer() and num_rows / 2 <= high - low + 1 <= num_rows):
        return False
    seen = np.zeros(2 * num_rows, dtype=bool)
    for batch in source.batches([column.name]):
        places = matrix.numbers_of(batch, column.name, "number", source.dialect) - (high - num_rows + 1)
        if not bool(((places >= 0) & (places < len(seen)) & (places % 1 == 0)).all()):
            return False
        seen[places.astype(np.int64)] = True
    found = np.flatnonzero(seen)
    return len(found) == num_rows and bool(found[-1] - found[0] + 1 == num_rows)


def choose(features: dict[str, Moments | Levels], kinds: dict[str, Kind]) -> tuple[list[Column], dict[str, str]]:
    """The columns to learn from, and why each of the others is left out."""
    chosen, left_out = [], {}
    for name, tally in features.items():
        column = _levels(name, tally) if isinstance(tally, Levels) else _numbers(name, tally, kinds[name])
        if isinstance(column, Column):
            chosen.append(column)
        else:
            left_out[name] = column
    return chosen, left_out


def _levels(name: str, tally: Levels) -> Column | str:
    levels = sorted(tally.counts, key=lambda text: (-tally.counts[text], text))
    if not levels:
        return "no value"
    if len(levels) > MOST_LEVELS and tally.counts[levels[0]] == 1:
        return "text, all different"
    if len(levels) + (tally.missing > 0) < 2:
        return "one value"
    rare = frozenset(map(level_id, levels[MOST_LEVELS:])) if not tally.uncounted else frozenset()
    other = len(levels) > MOST_LEVELS
    return Column(name, "category", tuple(levels[:MOST_LEVELS]), other, tally.missing > 0, rare=rare)


def _numbers(name: str, tally: Moments, kind: Kind) -> Column | str:
    if not tally.count:
        return "no value"
    if tally.constant and not tally.missing:
        return "one value"
    if not math.isfinite(tally.std):
        return "too large to standardise"
    return Column(name, kind, missing=tally.missing > 0, low=tally.low, high=tally.high)


def mean_and_std(tallies: Iterable[Moments | Levels], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """(mean, std) of the numbers and dates."""
    moments = [tally for tally in tallies if isinstance(tally, Moments)]
    mean, std = [tally.mean for tally in moments], [tally.std for tally in moments]
    return torch.tensor(mean, dtype=dtype), torch.tensor(std, dtype=dtype)
