"""Runs as rows of a table: what sets each apart, and what it came to. Reads run folders and nothing else."""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainer.config.run_config import read_config
from trainer.disk import history, layout, reading, sweep_plan
from trainer.disk.history import History
from trainer.stopping import Stopping

FILLED = ("in_features", "in_channels", "num_classes", "out_features")  # by build, from the data
OWN = ("output_dir", "report", "sweep")


@dataclass(frozen=True)
class Row:
    """One run. settings: the keys in which the runs differ, as text. metrics: at its best step, or else its last."""

    name: str
    settings: dict[str, str]
    status: str
    monitor: str
    metrics: dict[str, float]
    seconds: float
    steps: int
    curve: list[float]
    error: str | None

    @property
    def ok(self) -> bool:
        """Whether it ended as it should."""
        return self.status == "ok"

    def value(self, metric: str) -> float | None:
        """A metric of a run that ended well, if it is a number."""
        found = self.metrics.get(metric)
        return found if self.ok and found is not None and math.isfinite(found) else None


def read_row(folder: Path, settings: dict[str, str], past: History | None = None) -> Row:
    """The row of a run folder, which may hold little or nothing yet. past: its history, where it has been read."""
    summary = layout.read_summary(folder)
    metrics = reading.numbers(summary.get("best")) or reading.numbers(summary.get("last"))
    evaluations = (past or history.read(folder)).evaluations
    curve = [row.get("val/loss", row.get("train/loss", math.nan)) for row in evaluations]
    return Row(
        str(layout.relative(folder)),
        settings,
        reading.text(summary.get("status", "waiting")),
        reading.text(summary.get("monitor")),
        {name: value for name, value in metrics.items() if "/" in name},
        sum(reading.numbers(summary.get("seconds")).values()),
        reading.count(summary.get("steps")) or 0,
        curve,
        reading.text(summary.get("error"), 2000) or None,
    )


def varied(typed: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """Of the overrides of each job, those that are not the same for all: {key: value}, in the order typed."""
    pairs = [dict(override.partition("=")[::2] for override in overrides) for overrides in typed]
    keys = list(dict.fromkeys(key for job in pairs for key in job))
    differing = [key for key in keys if len({job.get(key) for job in pairs}) > 1]
    return [{key: job[key] for key in differing if key in job} for job in pairs]


def differences(configs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Of whole configs, the keys that are not the same for all: {key: value}, in the order of the schema.

    Where the options of a group differ, the group is named; a key that some options lack counts among the others.
    """
    flat = [dict(_flat(config)) for config in configs]
    keys = list(dict.fromkeys(key for config in flat for key in config))
    data_differs = len({config.get("dataset") for config in flat}) > 1
    differing = []
    for key in keys:
        filled = data_differs and key.rpartition(".")[2] in FILLED
        if not filled and len({config[key] for config in flat if key in config}) > 1:
            differing.append(key)
    return [{key: config[key] for key in differing if key in config} for config in flat]


def _flat(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for name, value in data.items():
        path = f"{prefix}{name}"
        if path in OWN:
            continue
        if isinstance(value, Mapping):
            if "_target_" in value:
                pairs.append((path, str(value["_target_"]).rpartition(".")[2]))
            pairs += _flat({k: v for k, v in value.items() if k != "_target_"}, path + ".")
        else:
            pairs.append((path, value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))))
    return pairs


def of_runs(folders: Sequence[Path]) -> list[Row]:
    """Rows of any runs, set apart by their configs."""
    settings = differences([read_config(folder) for folder in folders])
    return [read_row(folder, own) for folder, own in zip(folders, settings, strict=True)]


def of_jobs(folders: Sequence[Path], typed: Sequence[Sequence[str]]) -> list[Row]:
    """Rows of a sweep's jobs, set apart by what was typed for each."""
    return [read_row(folder, own) for folder, own in zip(folders, varied(typed), strict=True)]


def of_sweep(sweep: Path) -> list[Row]:
    """Rows of all jobs that a sweep has planned."""
    _, jobs = sweep_plan.read_plan(sweep)
    return of_jobs([job.folder(sweep) for job in jobs], [job.overrides for job in jobs])


def monitored(rows: Sequence[Row]) -> str:
    """The metric that most runs monitored; '' where none says."""
    counts = Counter(row.monitor for row in rows if row.monitor)
    return counts.most_common(1)[0][0] if counts else ""


def mode(metric: str) -> str:
    """max where more is better, else min."""
    return Stopping(metric, None, 0.0).mode
