"""The variance that the choice of rows gives to the mean difference of pairs: from the rows, where the metric has a
value a row, or else from rows that were drawn again (Efron 1979)."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from trainer.disk.val_rows import MOST_DRAWN

Array = np.ndarray[Any, Any]


def of_mean(values: Array, weights: Array | None = None) -> float:
    """The variance of the mean of values (R,) over rows that were drawn: Σ w² (x - m)² / (Σ w)² · R / (R - 1), where
    the mean m weighs each row by w, 1 for all where there are none. NaN for fewer than two rows."""
    count = len(values)
    if count < 2:
        return math.nan
    weights = weights if weights is not None else np.ones(count)
    with np.errstate(all="ignore"):  # of a stranger's file
        mean = (weights * values).sum() / weights.sum()
        spread = np.square(weights * (values - mean)).sum()
        return float(spread / weights.sum() ** 2 * count / (count - 1))


def of_draws(pairs: Sequence[tuple[Array, Array]], num_rows: int) -> float | None:
    """The variance of the mean over pairs of first - second. pairs: the metric of two runs in the same draws of m rows,
    each (draws,). With m below num_rows the variance over the draws is num_rows / m times too large (Bickel, Götze and
    van Zwet 1997). None for fewer than two draws in which it is defined."""
    with np.errstate(all="ignore"):  # of a stranger's file
        means = np.mean([first - second for first, second in pairs], axis=0)
        means = means[np.isfinite(means)]
        share = min(num_rows, MOST_DRAWN) / num_rows
        return float(np.var(means, ddof=1)) * share if len(means) > 1 else None
