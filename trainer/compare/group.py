"""Runs that differ only in their seeds, as one line of a ranking."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import fmean, stdev

from trainer.compare.interval import Interval, interval
from trainer.compare.rows import Row
from trainer.text import clock

SHARES = ("acc", "subset_acc")  # metrics that are a share of the rows
OF_PLACES = {"val/perplexity", "val/iou"}  # of runs whose acc is a share of positions or pixels
BOUNDS = {"mse": (0.0, math.inf), "mae": (0.0, math.inf), "r2": (-math.inf, 1.0)}
BOUNDS |= {"perplexity": (1.0, math.inf), "bits": (0.0, math.inf)}
BOUNDS |= dict.fromkeys((*SHARES, "f1", "balanced_acc", "iou"), (0.0, 1.0))


@dataclass(frozen=True)
class Group:
    """Runs with the same settings except the seeds."""

    settings: dict[str, str]
    rows: list[Row]
    metric: str

    @cached_property
    def values(self) -> list[float]:
        """The metric for each seed with a run that ended well. Repeats, runs with the same seeds, count once."""
        by_seed = defaultdict(list)
        for row in self.rows:
            if (value := row.value(self.metric)) is not None:
                by_seed[row.seeds].append(value)
        return [fmean(values) for values in by_seed.values()]

    @property
    def num_seeds(self) -> int:
        """Number of different seeds, those without a value included."""
        return len({row.seeds for row in self.rows})

    @property
    def mean(self) -> float:
        """NaN where no run ended well."""
        return fmean(self.values) if self.values else math.nan

    @property
    def std(self) -> float:
        """NaN for fewer than two values."""
        return stdev(self.values) if len(self.values) > 1 else math.nan

    @property
    def num_rows(self) -> int | None:
        """Rows of the smallest validation split, where folds of one cut count as one split; None if the metric is not a
        share of them, or a run did not say."""
        by_cut: dict[tuple[object, ...], dict[tuple[str, ...], int]] = defaultdict(dict)
        for row in self.rows:
            if row.value(self.metric) is not None:
                if not row.num_val:
                    return None
                by_cut[row.cut][row.seeds[1:]] = row.num_val
        counts = [sum(folds.values()) for folds in by_cut.values()]
        return min(counts) if counts and is_share(self.metric, self.rows) else None

    @property
    def fraction(self) -> float:
        """The share of the training rows that each run used."""
        return self.rows[0].fraction

    @property
    def num_train(self) -> int | None:
        """Mean number of training rows; None where no run recorded it."""
        counts = [row.num_train for row in self.rows if row.num_train is not None]
        return round(fmean(counts)) if counts else None

    @cached_property
    def interval(self) -> Interval | None:
        """The 95% interval of the mean; None where it is unknown. See interval.py."""
        bounds = BOUNDS.get(self.metric.removeprefix("val/"), (-math.inf, math.inf))
        return interval(self.values, self.num_rows, bounds) if self.values else None

    @property
    def test(self) -> float | None:
        """The mean of the metric over the test splits of the runs that ended well; None where one has none."""
        name = self.metric.replace("val/", "test/", 1)
        found = [row.test.get(name, math.nan) for row in self.rows if row.value(self.metric) is not None]
        return fmean(found) if found and all(map(math.isfinite, found)) else None

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


def is_share(metric: str, rows: Sequence[Row]) -> bool:
    """Whether a metric of these runs is a share of the validation rows."""
    return metric.removeprefix("val/") in SHARES and not any(OF_PLACES & row.modes.keys() for row in rows)
