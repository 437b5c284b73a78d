"""The ranking: runs that differ only in their seeds form one group; groups are ordered by their mean."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from trainer.compare import learning_curve, variance
from trainer.compare.group import Group
from trainer.compare.interval import difference
from trainer.compare.learning_curve import LearningCurve
from trainer.compare.paired import Difference
from trainer.compare.protocol import FRACTION, Protocol, unfolded
from trainer.compare.rows import UNKNOWN, Row, mode, monitored

MOST_PAIRED = 100  # groups that are compared with the best one row by row


@dataclass(frozen=True)
class Ranking:
    """groups: best first, then those with a failure, then those without a value; last, those on another share of the
    training rows than the first, which are not ranked. shares: see variance.shares. data: the name of what all runs
    were measured on. gaps: the paired difference of a group from the best one, by the group's place, if it has pairs.
    """

    metric: str
    groups: list[Group]
    shares: dict[str, float] | None
    data: str = ""
    gaps: Mapping[int, Difference] = field(default_factory=dict)

    @property
    def mode(self) -> str:
        """max or min."""
        return mode(self.metric, (row for group in self.groups for row in group.rows))

    @property
    def num_runs(self) -> int:
        """Number of runs, those without a value included."""
        return sum(len(group.rows) for group in self.groups)

    @property
    def comparable(self) -> list[Group]:
        """The groups that are ranked against each other: those on the largest share of the training rows."""
        return [group for group in self.groups if group.fraction == self.groups[0].fraction]

    @property
    def num_ranked(self) -> int:
        """Number of groups with a rank: those with a value and no failure."""
        return sum(bool(group.values) and not group.failures for group in self.comparable)

    @cached_property
    def curves(self) -> list[LearningCurve]:
        """What the groups are instead of a ranking where dataset.fraction varies; [] where they are a ranking."""
        return learning_curve.curves(self.groups)

    @property
    def share(self) -> str:
        """The share of the training rows that is ranked, as text; '' where all runs have the same."""
        return f"{FRACTION}={self.groups[0].fraction:g}, the largest" if self.comparable != self.groups else ""

    @property
    def best(self) -> Row | None:
        """The run that stands for the best group; of one with a failure only where no other group has a value. Of seeds
        it is the best one; of folds and split seeds, which cannot be compared, the lowest."""
        pick = max if self.mode == "max" else min
        rows = [row for row in self.groups[0].rows if row.value(self.metric) is not None]
        lowest = min(map(_split, rows), default=())
        rows = [row for row in rows if _split(row) == lowest]
        return pick(rows, key=lambda row: row.metrics[self.metric], default=None)

    def place(self, index: int) -> tuple[str, str]:
        """(rank, difference of the mean from the best) of a group, as text; ("-", "") where it is not ranked."""
        if index >= self.num_ranked:
            return "-", ""
        if index == 0:
            return "1", "best"
        gap = self.gaps.get(index)
        if gap is not None and gap.half is not None:
            digits = max(0, 3 - math.floor(math.log10(max(abs(gap.mean), gap.half))))
            return str(index + 1), f"{gap.mean:+.{digits}f} ±{gap.half:.{digits}f}"
        return str(index + 1), f"{self.groups[index].mean - self.groups[0].mean:+.4g}"

    def within_noise(self, group: Group) -> bool | None:
        """Whether this group is a tie with the best one: the 95% interval of their difference, of pairs if there are
        any, contains 0. None where an interval is unknown."""
        best = self.groups[0]
        if group is best:
            return False
        if group.fraction != best.fraction:
            return None
        gap = self.gaps.get(self.groups.index(group))
        if gap is not None and gap.half is not None:
            return not gap.is_clear
        if group.interval is None or best.interval is None:
            return None
        low, high = difference(best.mean, best.interval, group.mean, group.interval)
        return low <= 0 <= high

    def mark(self, group: Group) -> str:
        """~ for a group that nothing shows to differ from the best one."""
        return "" if self.within_noise(group) is False else "~"


def _split(row: Row) -> tuple[float, ...]:
    """The split seed and the fold of a run, as numbers."""
    known = [json.loads(text) for text in row.seeds[1:]]
    return tuple(value if isinstance(value, (int, float)) else -1 for value in known)


def rank(rows: Sequence[Row], metric: str, *, fold: bool = True, data: str = "") -> Ranking:
    """Rank runs of the same data by a metric. fold: group runs that differ only in their seeds."""
    by_settings: dict[tuple[tuple[tuple[str, str], ...], float, int], list[Row]] = defaultdict(list)
    for index, row in enumerate(rows):
        settings = unfolded(row.settings) if fold else tuple(row.settings.items())
        by_settings[settings, row.fraction, 0 if fold else index].append(row)
    groups = [Group(dict(settings), members, metric) for (settings, _, _), members in by_settings.items()]
    sign = -1.0 if mode(metric, rows) == "max" else 1.0
    groups.sort(key=lambda g: (not g.values, bool(g.failures), sign * g.mean if g.values else 0.0))
    largest = max((g.fraction for g in groups if g.values), default=max(g.fraction for g in groups))
    groups.sort(key=lambda g: (g.fraction != largest, -g.fraction))
    points = [(row.settings, value) for row in rows if (value := row.value(metric)) is not None]
    alike = len({(tuple(row.settings), row.fraction) for row in rows}) == 1
    full = len(points) == len(rows) and alike
    shares = variance.shares(points) if full and rows and rows[0].settings else None
    from trainer.compare import pairs  # imports numpy, which completing a word of the shell does not need

    ranked = Ranking(metric, groups, shares, data)
    others = range(1, min(ranked.num_ranked, MOST_PAIRED))
    gaps = {index: pairs.difference(groups[index].rows, groups[0].rows, metric) for index in others}
    return replace(ranked, gaps={index: gap for index, gap in gaps.items() if gap is not None})


def rankings(rows: Sequence[Row], metric: str | None = None, *, fold: bool = True) -> list[Ranking]:
    """A ranking for each data, way of splitting and metric: only those of one are comparable.

    metric: None ranks each run by what it monitored; a run that says nothing joins the others of its data. A run whose
    config cannot be read has no place in any.
    """
    peers, parts = defaultdict(list), defaultdict(list)
    rows = _completed([row for row in rows if row.protocol != UNKNOWN])
    for row in rows:
        peers[row.protocol.key("")].append(row)
    for row in rows:
        by = metric or row.monitor or monitored(peers[row.protocol.key("")])
        parts[row.protocol.key(by), by].append(row)
    if len(parts) < 2:
        return [rank(rows, by, fold=fold, data=rows[0].protocol.name) for _, by in parts]
    names = labels([(members[0].protocol, by) for (_, by), members in parts.items()])
    own = map(_without_constants, parts.values())
    return [rank(members, by, fold=fold, data=name) for (_, by), members, name in zip(parts, own, names, strict=True)]


def _completed(rows: Sequence[Row]) -> list[Row]:
    """The rows; what a run did not record, as before it begins, is what the others of the same dataset recorded, if
    these agree: the digest of the data, and the loss that loss=auto stands for."""

    def agreed(name: str) -> dict[str, str]:
        found: dict[str, set[str]] = defaultdict(set)
        for row in rows:
            found[row.protocol.node].add(getattr(row.protocol, name))
        return {node: next(iter(values)) for node, known in found.items() if len(values := known - {""}) == 1}

    digests, meant = agreed("digest"), agreed("meant")

    def completed(own: Protocol) -> Protocol:
        digest, loss = digests.get(own.node, ""), meant.get(own.node, "")
        return replace(own, digest=own.digest or digest, meant=own.meant or loss)

    return [replace(row, protocol=completed(row.protocol)) for row in rows]


def labels(measured: Sequence[tuple[Protocol, str]]) -> list[str]:
    """A name for each of several (protocol, metric): that of its data, with the settings in which those of one name
    differ, or else a number. Equal names differ in the metric."""
    numbers: dict[tuple[str, str], list[tuple[str, ...]]] = defaultdict(list)
    found = []
    for protocol, metric in measured:
        namesakes = [other.settings for other, _ in measured if other.name == protocol.name]
        keys = [key for key in protocol.settings if key.partition(".")[0] != "loss" or metric.endswith("/loss")]
        differing = [key for key in keys if len({settings.get(key) for settings in namesakes}) > 1]
        label = " ".join([protocol.name, *(f"{key}={protocol.settings[key]}" for key in differing)])
        others = numbers[label, metric]
        if protocol.key(metric) not in others:
            others.append(protocol.key(metric))
        number = others.index(protocol.key(metric)) + 1
        found.append(f"{label} ({number})" if number > 1 else label)
    return found


def _without_constants(rows: list[Row]) -> list[Row]:
    """The rows without the settings that are the same for all of them."""
    same = {key for key in rows[0].settings if len({row.settings.get(key) for row in rows}) == 1}
    return [replace(row, settings={key: v for key, v in row.settings.items() if key not in same}) for row in rows]
