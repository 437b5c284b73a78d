"""The numbers of a ranking, as pure functions that can be checked by hand."""

import math
from collections.abc import Mapping, Sequence
from itertools import product


def mean(values: Sequence[float]) -> float:
    """The arithmetic mean: sum / n."""
    return math.fsum(values) / len(values)


def std(values: Sequence[float]) -> float:
    """The sample standard deviation, sqrt(Σ (x - mean)² / (n - 1)), with Bessel's correction; NaN for one value.

    NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.5.6 Measures of Scale.
    """
    if len(values) < 2:
        return math.nan
    centre = mean(values)
    return math.sqrt(math.fsum((x - centre) ** 2 for x in values) / (len(values) - 1))


def within_noise(a: Sequence[float], b: Sequence[float]) -> bool:
    """Whether the intervals mean ± std of two groups overlap: |mean_a - mean_b| <= std_a + std_b.

    A rule of thumb that can be read off the table, and no test of significance. False where a group has one value:
    then its noise is not known.
    """
    if len(a) < 2 or len(b) < 2:
        return False
    return abs(mean(a) - mean(b)) <= std(a) + std(b)


def shares(points: Sequence[tuple[Mapping[str, str], float]]) -> dict[str, float] | None:
    """The share of the variance that each key explains by itself: η² = SS_key / SS_total, in a full grid.

    SS_key = Σ over its levels of n_level · (mean_level - mean)², SS_total = Σ (x - mean)²: the main effects of an
    analysis of variance (Montgomery, Design and Analysis of Experiments, chapter 5; Cohen, Statistical Power Analysis,
    8.2 for η²). In a full grid they are orthogonal and sum to at most 1; the rest is how the keys act together.
    points: (value of each key, result). None where the grid is not full, or nothing varies.
    """
    if len(points) < 2:
        return None
    keys = list(points[0][0])
    levels = {key: list(dict.fromkeys(settings[key] for settings, _ in points)) for key in keys}
    cells = [tuple(settings[key] for key in keys) for settings, _ in points]
    if math.prod(map(len, levels.values())) != len(cells) or sorted(cells) != sorted(product(*levels.values())):
        return None
    results = [value for _, value in points]
    centre = mean(results)
    total = math.fsum((x - centre) ** 2 for x in results)
    if total == 0:
        return None
    explained = {}
    for key in keys:
        groups = [[value for settings, value in points if settings[key] == level] for level in levels[key]]
        explained[key] = math.fsum(len(group) * (mean(group) - centre) ** 2 for group in groups) / total
    return explained
