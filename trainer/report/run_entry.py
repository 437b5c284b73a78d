"""A run folder as an entry of the page over all runs: its row, its config and its curves, read once while its files
stay the same."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from trainer.compare import rows
from trainer.compare.rows import Row
from trainer.config.run_config import read_plain
from trainer.disk import folder as folders
from trainer.disk import history, layout, lock, reading
from trainer.disk.history import Curve, History
from trainer.errors import TrainerError
from trainer.report.scales import thinned

FILES = (layout.CONFIG, layout.SUMMARY, layout.METRICS, layout.REPORT)
COLUMNS = 50  # of a stored curve; each keeps at most four points

Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class Entry:
    """stamp: what changes when one of its files does. curves: (step, value) points by name, train/loss and the metrics
    of the evaluations. facts: of summary.json, for the columns that no Row has."""

    folder: Path
    stamp: Stamp
    row: Row
    config: Mapping[str, Any] = field(default_factory=dict)
    curves: Mapping[str, Curve] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    has_report: bool = False

    @property
    def status(self) -> str:
        """The status; of a run that says running, but whose process is gone, interrupted."""
        gone = self.row.status == "running" and lock.holder(self.folder) is None
        return "interrupted" if gone else self.row.status


def stamp(folder: Path) -> Stamp:
    """The identity, size and time of each file that an entry is read from."""
    found = (folders.status(folder / name) for name in FILES)
    return tuple(None if one is None else (one.st_ino, one.st_size, one.st_mtime_ns) for one in found)


def read(folder: Path) -> Entry:
    """The entry of a run folder, a damaged one too: its row says why it cannot be read."""
    now = stamp(folder)
    try:
        config, past = read_plain(folder), history.read(folder)
        row, curves = rows.read_row(folder, config, {}, past), curves_of(past)
    except (TrainerError, AttributeError, KeyError, TypeError, ValueError) as error:  # a config of other types
        return Entry(folder, now, rows.unreadable(folder, error, {}))
    if past.evaluations and not row.metrics and not row.unreadable:  # it is still running
        last = past.evaluations[-1]
        row = replace(row, metrics=past.at(int(last["step"])))
    steps = max([row.steps, *(int(points[-1][0]) for points in curves.values())])
    has_report = (report := folder / layout.REPORT).is_file() and not report.is_symlink()
    return Entry(folder, now, replace(row, steps=steps), config, curves, layout.read_summary(folder), has_report)


def curves_of(past: History) -> dict[str, Curve]:
    """train/loss and each metric of the evaluations, thinned, in order of steps."""
    curves: dict[str, Curve] = {"train/loss": past.curves["train"]}
    for evaluation in past.evaluations:
        for name, value in evaluation.items():
            if "/" in name and name != "train/loss":
                curves.setdefault(reading.text(name, 80), []).append((evaluation["step"], value))
    found = {name: thinned(sorted(points), COLUMNS) for name, points in curves.items()}
    return {name: points for name, points in found.items() if any(math.isfinite(value) for _, value in points)}
