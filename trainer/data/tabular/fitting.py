"""The second pass over a table: statistics of its training rows alone, in bounded memory."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from trainer.data.tabular import matrix
from trainer.data.tabular.column import MOST_LEVELS, Column, Kind
from trainer.data.tabular.matrix import Floats
from trainer.data.tabular.source import Source, masked

MOST_COUNTED = 100_000  # distinct texts of a column that are counted


@dataclass
class Moments:
    """Count, mean and sum of squared deviations of finite values, batch by batch (Chan, Golub and LeVeque 1979)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    missing: int = 0
    infinite: int = 0

    def add(self, values: Floats) -> None:
        """Add a batch of the column."""
        finite = values[np.isfinite(values)]
        self.infinite += int(np.isinf(values).sum())
        self.missing += len(values) - len(finite)
        if not len(finite):
            return
        mean, count = float(finite.mean()), self.count + len(finite)
        apart = mean - self.mean
        self.squares += float(np.square(finite - mean).sum()) + apart * apart * self.count * len(finite) / count
        self.mean += apart * len(finite) / count
        self.count = count

    @property
    def std(self) -> float:
        """The population's standard deviation; 1 if all values are equal."""
        return (self.squares / self.count) ** 0.5 if self.count and self.squares > 0 else 1.0


@dataclass
class Levels:
    """How often each text occurs in a column."""

    counts: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    values: int = 0

    def add(self, text: Any) -> None:
        """Add a batch of the column, as text."""
        self.missing += text.null_count
        self.values += len(text) - text.null_count
        for entry in text.drop_null().value_counts().to_pylist():
            if entry["values"] in self.counts or len(self.counts) < MOST_COUNTED:
                self.counts[entry["values"]] += entry["counts"]


def fit(source: Source, kinds: dict[str, Kind], keep: Any) -> dict[str, Moments | Levels]:
    """Describe each column of `kinds` in one pass. keep: (N,) bool, the training rows."""
    tallies: dict[str, Moments | Levels] = {n: Levels() if k == "category" else Moments() for n, k in kinds.items()}
    for batch, rows in masked(source.batches(list(kinds)), keep):
        for name, tally in tallies.items():
            if isinstance(tally, Levels):
                tally.add(matrix.to_text(batch.columns[name], source.dialect.missing).filter(pa.array(rows)))
            else:
                tally.add(matrix.numbers_of(batch, name, kinds[name], source.dialect.missing)[rows])
    return tallies


def choose(features: dict[str, Moments | Levels], kinds: dict[str, Kind]) -> tuple[list[Column], dict[str, str]]:
    """The columns to learn from, and why each of the others is left out."""
    chosen, left_out = [], {}
    for name, tally in features.items():
        if isinstance(tally, Levels):
            levels = sorted(tally.counts, key=lambda text: (-tally.counts[text], text))
            if len(levels) > MOST_LEVELS and len(levels) == tally.values:
                left_out[name] = "text, all different"
            elif len(levels) + (tally.missing > 0) < 2:
                left_out[name] = "one value"
            else:
                other = len(levels) > MOST_LEVELS
                chosen.append(Column(name, "category", tuple(levels[:MOST_LEVELS]), other, tally.missing > 0))
        elif tally.squares == 0 and (not tally.missing or not tally.count):
            left_out[name] = "one value" if tally.count else "no value"
        else:
            chosen.append(Column(name, kinds[name], missing=tally.missing > 0))
    return chosen, left_out


def mean_and_std(tallies: Iterable[Moments | Levels], dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    """(mean, std) of the numbers and dates."""
    moments = [tally for tally in tallies if isinstance(tally, Moments)]
    mean, std = [tally.mean for tally in moments], [tally.std for tally in moments]
    return torch.tensor(mean, dtype=dtype), torch.tensor(std, dtype=dtype)
