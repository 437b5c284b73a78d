"""Which keys mattered: their shares of the variance, as a pure function that can be checked by hand."""

import math
from collections.abc import Mapping, Sequence
from itertools import product
from statistics import fmean


def shares(points: Sequence[tuple[Mapping[str, str], float]]) -> dict[str, float] | None:
    """The share of the variance that each key explains by itself: η² = SS_key / SS_total, in a full grid.

    SS_key = Σ over its levels of n_level · (mean_level - mean)², SS_total = Σ (x - mean)²: the main effects of an
    analysis of variance (Montgomery, Design and Analysis of Experiments, chapter 5; Cohen, Statistical Power Analysis,
    8.2 for η²). In a full grid they are orthogonal and sum to at most 1; the rest is the interaction of the keys.
    points: (value of each key, result). None where the grid is not full, all results are equal, or no degree of freedom
    is left: a single key explains all of any results.
    """
    if len(points) < 2:
        return None
    keys = list(points[0][0])
    levels = {key: list(dict.fromkeys(settings[key] for settings, _ in points)) for key in keys}
    cells = [tuple(settings[key] for key in keys) for settings, _ in points]
    if math.prod(map(len, levels.values())) != len(cells) or sorted(cells) != sorted(product(*levels.values())):
        return None
    if len(points) - 1 <= sum(len(level) - 1 for level in levels.values()):
        return None
    results = [value for _, value in points]
    centre = fmean(results)
    total = math.fsum((x - centre) ** 2 for x in results)
    if total == 0:
        return None
    explained = {}
    for key in keys:
        groups = [[value for settings, value in points if settings[key] == level] for level in levels[key]]
        explained[key] = math.fsum(len(group) * (fmean(group) - centre) ** 2 for group in groups) / total
    return explained
