"""The interval of the difference between two configurations that were run in pairs. Pure functions, to check by hand.

A pair is two runs with the same seed and the same validation rows. The differences of pairs vary with the seed, with
the rows that were held back, and with those that were trained on. What may be averaged away depends on what the pairs
share:

- One validation split, several seeds: the seeds' part is t² · s² / n (Student 1908). The rows are the same in all
  pairs, so that more seeds do not make their part smaller: it is z² · v, v the variance of the mean difference over the
  rows. Both are independent, and add up.
- Several splits: seeds are averaged inside each split first. The splits share rows, so that their differences are not
  independent, and s² / n alone is far too small: s² · (1/n + test rows / training rows), with Student's t (Nadeau and
  Bengio 2003, Inference for the Generalization Error, Machine Learning 52).

Below three pairs, or splits, their spread tells nothing, and only the rows' part is given.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

from trainer.compare.interval import Z, student

FEWEST = 3  # pairs, or splits, whose spread is used


@dataclass(frozen=True)
class Difference:
    """mean: of the differences; half: of its 95% interval, None where nothing tells it. seeds, splits: how many there
    are; rows: how many were compared, 0 where they are unknown or not part of the interval."""

    mean: float
    half: float | None
    seeds: int
    splits: int
    rows: int = 0

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.half is not None and abs(self.mean) > self.half


def over_seeds(differences: Sequence[float], row_variance: float | None = None, num_rows: int = 0) -> Difference:
    """Pairs that share one validation split. differences: one a seed; row_variance: of the mean difference over the
    split's rows, None where the rows are unknown; num_rows: of the split."""
    n, mean = len(differences), fmean(differences)
    of_rows = None if row_variance is None else Z * Z * row_variance
    of_seeds = student(n - 1) ** 2 * variance(differences) / n if n >= FEWEST else None
    parts = [part for part in (of_rows, of_seeds) if part is not None]
    half = math.sqrt(math.fsum(parts)) or None  # equal differences everywhere tell no spread
    return Difference(mean, half, n, 1, num_rows if row_variance is not None else 0)


def over_splits(
    differences: Sequence[Sequence[float]], ratio: float, row_variance: float | None = None, num_rows: int = 0
) -> Difference:
    """Pairs whose validation splits differ: folds, repeats, split seeds. differences: those of the seeds of each split;
    ratio: validation rows over training rows; row_variance: of the mean over all, used only below three splits."""
    means = list(map(fmean, differences))
    n, seeds = len(means), max(map(len, differences))
    if n >= FEWEST:
        half = student(n - 1) * math.sqrt(variance(means) * (1 / n + ratio)) or None  # as above
        return Difference(fmean(means), half, seeds, n)
    half = Z * math.sqrt(row_variance) if row_variance is not None else None
    return Difference(fmean(means), half, seeds, n, num_rows if row_variance is not None else 0)
