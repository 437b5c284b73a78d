"""The second pass over a table: what its training rows look like, in bounded memory. No other row has a say."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from trainer.data.tabular import matrix
from trainer.data.tabular.column import MOST_LEVELS, Column, Kind
from trainer.data.tabular.matrix import Floats
from trainer.data.tabular.source import Batch, Source

MOST_COUNTED = 100_000  # different texts of one column that are counted


@dataclass
class Moments:
    """Count, mean and sum of squared deviations, batch by batch (Chan, Golub and LeVeque 1979), without NaN."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0
    missing: int = 0
    infinite: int = 0

    def add(self, values: Floats) -> None:
        """A batch of one column."""
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
        """Of the population; 1 where all values are the same."""
        return (self.squares / self.count) ** 0.5 if self.count and self.squares > 0 else 1.0


@dataclass
class Levels:
    """How often each text stands in a column."""

    counts: Counter[str] = field(default_factory=Counter)
    missing: int = 0
    values: int = 0

    def add(self, text: Any) -> None:
        """A batch of one column, as text."""
        self.missing += text.null_count
        self.values += len(text) - text.null_count
        for entry in text.drop_null().value_counts().to_pylist():
            if entry["values"] in self.counts or len(self.counts) < MOST_COUNTED:
                self.counts[entry["values"]] += entry["counts"]


@dataclass
class Fit:
    """What training rows show of each feature and of the targets."""

    features: dict[str, Moments | Levels]
    targets: dict[str, Moments | Levels]


def fit(source: Source, kinds: dict[str, Kind], targets: Sequence[str], keep: Any) -> Fit:
    """One pass. kinds: of features and targets, by name; keep: (N,) bool, the training rows."""
    tallies: dict[str, Moments | Levels] = {n: Levels() if k == "category" else Moments() for n, k in kinds.items()}
    for batch, rows in masked(source, list(kinds), keep):
        for name, tally in tallies.items():
            values = batch.columns[name]
            if isinstance(tally, Levels):
                tally.add(matrix.to_text(values, source.dialect.missing).filter(pa.array(rows)))
                continue
            try:
                tally.add(matrix.to_floats(values, kinds[name], source.dialect.missing)[rows])
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise matrix.refusal(batch, name, kinds[name], source.dialect.missing) from error
    return Fit({n: t for n, t in tallies.items() if n not in targets}, {n: tallies[n] for n in targets})


def masked(source: Source, names: Sequence[str], keep: Any) -> Iterator[tuple[Batch, Any]]:
    """Batches with the part of `keep` that is theirs; those without any are left out."""
    first = 0
    for batch in source.batches(names):
        rows = keep[first : first + batch.num_rows]
        first += batch.num_rows
        if rows.any():
            yield batch, rows


def choose(features: dict[str, Moments | Levels], kinds: dict[str, Kind]) -> tuple[list[Column], dict[str, str]]:
    """The columns to learn from, and why each other one is left out."""
    chosen, left_out = [], {}
    for name, tally in features.items():
        if isinstance(tally, Levels):
            levels = sorted(tally.counts, key=lambda text: (-tally.counts[text], text))
            if len(levels) > MOST_LEVELS and len(levels) == tally.values:
                left_out[name] = "text, never twice the same"
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


def moments_of(chosen: Sequence[Column], features: dict[str, Moments | Levels]) -> tuple[Tensor, Tensor]:
    """(mean, std) of the numbers and dates, float64."""
    found = [features[column.name] for column in chosen if column.kind != "category"]
    numbers = [tally for tally in found if isinstance(tally, Moments)]
    mean, std = ([getattr(tally, name) for tally in numbers] for name in ("mean", "std"))
    return torch.tensor(mean, dtype=torch.float64), torch.tensor(std, dtype=torch.float64)
