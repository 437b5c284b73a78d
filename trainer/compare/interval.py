"""The 95% interval of a mean over seeds, and of the difference of two. Pure functions that can be checked by hand.

A result has two sources of chance: the seed, and the rows that were held back. For n seeds with standard deviation s:

- The rows, where a metric is a share of them, as accuracy is: Wilson's interval of a proportion (Wilson 1927). It
  has a width for 0 and 1 as well. What the rows add to any other metric is unknown.
- The seeds: t(n - 1) · s / √n (Student 1908), from three seeds on. For two, t is 12.7, which would say nothing: z takes
  its place where the rows are known, and is too small.

The distances of the mean from the two limits add up as squares (Zou and Donner 2008), and so do those of two means
(Newcombe 1998, method 10). Two runs on the same rows are taken as independent, so the interval of their difference is
too wide rather than too narrow.
"""

import math
from collections.abc import Sequence
from statistics import NormalDist, fmean, stdev

Z = NormalDist().inv_cdf(0.975)
STUDENT = (12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622)  # 0.975, 1 to 9 degrees of freedom
ENOUGH = 3  # seeds from which their spread is told
Interval = tuple[float, float]


def student(freedom: int) -> float:
    """The 0.975 quantile of Student's t: a table, then its series in 1 / freedom (Abramowitz and Stegun 26.7.5)."""
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    terms = (Z**3 + Z) / 4, (5 * Z**5 + 16 * Z**3 + 3 * Z) / 96, (3 * Z**7 + 19 * Z**5 + 17 * Z**3 - 15 * Z) / 384
    return Z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))


def wilson(share: float, num_rows: int) -> Interval:
    """The interval of a share of rows. share: from 0 to 1."""
    shrink = 1 + Z * Z / num_rows
    centre = (share + Z * Z / (2 * num_rows)) / shrink
    reach = Z * math.sqrt(share * (1 - share) / num_rows + (Z / (2 * num_rows)) ** 2) / shrink
    return max(0.0, centre - reach), min(1.0, centre + reach)


def interval(
    values: Sequence[float], num_rows: int | None = None, bounds: Interval = (-math.inf, math.inf)
) -> Interval | None:
    """The interval of the mean, inside the bounds of the metric. values: one for each seed. num_rows: of the validation
    split, where the metric is a share of them. None where too little is known: fewer than ENOUGH values, or equal ones,
    of a metric that is not a share of rows.
    """
    mean, n = fmean(values), len(values)
    error = stdev(values) / math.sqrt(n) if n > 1 else 0.0
    reach = error * (student(n - 1) if n >= ENOUGH else Z)
    if num_rows:
        rows, bounds = wilson(mean, num_rows), (0.0, 1.0)
        low, high = mean - math.hypot(mean - rows[0], reach), mean + math.hypot(rows[1] - mean, reach)
    elif reach and n >= ENOUGH:
        low, high = mean - reach, mean + reach
    else:
        return None
    return max(bounds[0], low), min(bounds[1], high)


def difference(mean_a: float, a: Interval, mean_b: float, b: Interval) -> Interval:
    """The interval of mean_a - mean_b. Two means whose difference may be 0 are a tie."""
    gap = mean_a - mean_b
    return gap - math.hypot(mean_a - a[0], b[1] - mean_b), gap + math.hypot(a[1] - mean_a, mean_b - b[0])
