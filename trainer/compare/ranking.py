"""The ranking: rows that differ in the seed alone become one group; groups in order of their mean."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.compare import statistics
from trainer.compare.rows import Row, mode

SEED = "seed"


@dataclass(frozen=True)
class Group:
    """Runs with the same settings but for the seed. values: of those that ended well."""

    settings: dict[str, str]
    rows: list[Row]
    values: list[float]

    @property
    def mean(self) -> float:
        """NaN where no run ended well."""
        return statistics.mean(self.values) if self.values else math.nan

    @property
    def std(self) -> float:
        """NaN for fewer than two values."""
        return statistics.std(self.values)

    @property
    def failures(self) -> list[Row]:
        """Runs that failed or diverged."""
        return [row for row in self.rows if row.status in ("failed", "diverged")]


@dataclass(frozen=True)
class Ranking:
    """groups: best first, then those with a failure, then those without a value. shares: see statistics.shares."""

    metric: str
    groups: list[Group]
    shares: dict[str, float] | None

    @property
    def mode(self) -> str:
        """max or min."""
        return mode(self.metric)

    @property
    def num_ranked(self) -> int:
        """How many groups have a place: all their runs that ended ended well."""
        return sum(bool(group.values) and not group.failures for group in self.groups)

    @property
    def best(self) -> Row | None:
        """The best run of the best group."""
        if not self.num_ranked:
            return None
        pick = max if self.mode == "max" else min
        rows = [row for row in self.groups[0].rows if row.value(self.metric) is not None]
        return pick(rows, key=lambda row: row.metrics[self.metric])

    def within_noise(self, group: Group) -> bool:
        """Whether this group cannot be told from the best one."""
        return group is not self.groups[0] and statistics.within_noise(group.values, self.groups[0].values)


def rank(rows: Sequence[Row], metric: str, *, fold: bool = True) -> Ranking:
    """Rank rows by a metric; fold: seeds as one group, mean ± std."""
    found: dict[tuple[tuple[str, str], ...], list[Row]] = {}
    for index, row in enumerate(rows):
        key = tuple((name, value) for name, value in row.settings.items() if name != SEED or not fold)
        found.setdefault(key if fold else (*key, ("", str(index))), []).append(row)
    groups = []
    for key, members in found.items():
        values = [value for row in members if (value := row.value(metric)) is not None]
        groups.append(Group({name: value for name, value in key if name}, members, values))
    sign = -1.0 if mode(metric) == "max" else 1.0
    groups.sort(key=lambda g: (not g.values, bool(g.failures), sign * g.mean if g.values else 0.0))
    points = [(row.settings, value) for row in rows if (value := row.value(metric)) is not None]
    full = len(points) == len(rows) and len({tuple(row.settings) for row in rows}) == 1
    return Ranking(metric, groups, statistics.shares(points) if full and rows and rows[0].settings else None)
