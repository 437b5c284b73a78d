"""The ranking: rows that differ only in the seed form one group; groups are ordered by their mean."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from trainer.compare import variance
from trainer.compare.rows import Row, mode
from trainer.text import clock

SEED = "seed"


@dataclass(frozen=True)
class Group:
    """Runs with the same settings except the seed. values: the metric of each run that ended well."""

    settings: dict[str, str]
    rows: list[Row]
    values: list[float]

    @property
    def mean(self) -> float:
        """NaN where no run ended well."""
        return fmean(self.values) if self.values else math.nan

    @property
    def std(self) -> float:
        """NaN for fewer than two values."""
        return stdev(self.values) if len(self.values) > 1 else math.nan

    @property
    def failures(self) -> list[Row]:
        """Runs that failed or diverged."""
        return [row for row in self.rows if row.failed]

    @property
    def time(self) -> str:
        """Mean time of the runs that ended well, as text; '' without any."""
        times = [row.seconds for row in self.rows if row.ok]
        return clock(sum(times) / len(times)) if times else ""

    @property
    def curve(self) -> list[float]:
        """The losses of the first run that ended well; empty without any."""
        return next((row.curve for row in self.rows if row.ok), [])


@dataclass(frozen=True)
class Ranking:
    """groups: best first, then those with a failure, then those without a value. shares: see variance.shares."""

    metric: str
    groups: list[Group]
    shares: dict[str, float] | None

    @property
    def mode(self) -> str:
        """max or min."""
        return mode(self.metric)

    @property
    def num_ranked(self) -> int:
        """Number of groups with a rank: those with a value and no failure."""
        return sum(bool(group.values) and not group.failures for group in self.groups)

    @property
    def best(self) -> Row | None:
        """The best run of the best group."""
        if not self.num_ranked:
            return None
        pick = max if self.mode == "max" else min
        rows = [row for row in self.groups[0].rows if row.value(self.metric) is not None]
        return pick(rows, key=lambda row: row.metrics[self.metric])

    def place(self, index: int) -> tuple[str, str]:
        """(rank, difference of the mean from the best) of a group, as text; ("-", "") where it is not ranked."""
        if index >= self.num_ranked:
            return "-", ""
        return str(index + 1), "best" if index == 0 else f"{self.groups[index].mean - self.groups[0].mean:+.4g}"

    def within_noise(self, group: Group) -> bool:
        """Whether this group cannot be distinguished from the best one."""
        return group is not self.groups[0] and variance.within_noise(group.values, self.groups[0].values)


def rank(rows: Sequence[Row], metric: str, *, fold: bool = True) -> Ranking:
    """Rank rows by a metric. fold: group runs that differ only in the seed, as mean ± std."""
    by_settings: dict[tuple[tuple[tuple[str, str], ...], int], list[Row]] = defaultdict(list)
    for index, row in enumerate(rows):
        settings = tuple((name, value) for name, value in row.settings.items() if name != SEED or not fold)
        by_settings[settings, 0 if fold else index].append(row)
    groups = [
        Group(dict(settings), members, [value for row in members if (value := row.value(metric)) is not None])
        for (settings, _), members in by_settings.items()
    ]
    sign = -1.0 if mode(metric) == "max" else 1.0
    groups.sort(key=lambda g: (not g.values, bool(g.failures), sign * g.mean if g.values else 0.0))
    points = [(row.settings, value) for row in rows if (value := row.value(metric)) is not None]
    full = len(points) == len(rows) and len({tuple(row.settings) for row in rows}) == 1
    return Ranking(metric, groups, variance.shares(points) if full and rows and rows[0].settings else None)
