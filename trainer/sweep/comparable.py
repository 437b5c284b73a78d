"""Whether the jobs of a sweep can be compared, by a metric that they report."""

from collections.abc import Sequence

from trainer.compare.protocol import fraction, protocol
from trainer.config import asked_metrics
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError
from trainer.stopping import MONITORS, unknown_metric


def check_comparable(jobs: Sequence[Job], metric: str) -> None:
    """Raise ConfigError for a search whose jobs do not measure the same: it would find the easiest data or loss."""
    if len({(protocol(job.data).key(metric), fraction(job.data)) for job in jobs}) > 1:
        text = "a search compares its jobs, so they need the same data and split, and for a loss the same loss"
        raise ConfigError(text, "a grid: leave out hydra/sweeper=…")


def check_metric(jobs: Sequence[Job]) -> None:
    """Raise ConfigError for a metric to rank by that no run can report. What a loss of your own reports is not known
    before it is built."""
    for job in jobs:
        metric, loss, typed = (job.data.get(name) for name in ("monitor", "loss", "metrics"))
        asked = asked_metrics.read(typed) if isinstance(typed, list) else []
        known = [*MONITORS, *(f"val/{one.column}" for one in asked)]
        kind = str(loss.get("_target_")) if isinstance(loss, dict) else ""
        if metric not in (None, "auto", *known) and (kind == "auto" or kind.startswith("torch.nn.")):
            raise unknown_metric(str(metric), known)
