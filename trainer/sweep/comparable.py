"""Whether the jobs of a sweep can be compared, by a metric that they report."""

from collections.abc import Sequence

from trainer.compare.protocol import protocol
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError
from trainer.stopping import MONITORS, unknown_metric


def check_comparable(jobs: Sequence[Job], metric: str) -> None:
    """Raise ConfigError for a search whose jobs do not measure the same: it would find the easiest data or loss."""
    if len({protocol(job.data).key(metric) for job in jobs}) > 1:
        text = "a search compares its jobs, so they need the same data and split, and for a loss the same loss"
        raise ConfigError(text, "a grid: leave out hydra/sweeper=optuna")


def check_metric(jobs: Sequence[Job]) -> None:
    """Raise ConfigError for a metric to rank by that no run can report."""
    for metric in dict.fromkeys(job.data.get("monitor", "auto") for job in jobs):
        if metric not in ("auto", *MONITORS):
            raise unknown_metric(metric, MONITORS)
