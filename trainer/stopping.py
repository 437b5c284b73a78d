"""Reasons to stop, and the metric that decides on the best weights and an early stop."""

import math
import signal as signals
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from trainer.config.schema import EarlyStop
from trainer.errors import ConfigError

LARGER_IS_BETTER = ("acc", "r2", "f1", "precision", "recall", "auc")


class StopReason(StrEnum):
    """Why a run ended before its last step. The values are stored in checkpoints and summary.json."""

    DIVERGED = "diverged"
    EARLY_STOP = "early stop"
    GUARD = "guard"
    SIGINT = "SIGINT"
    SIGTERM = "SIGTERM"

    @property
    def status(self) -> str:
        """The run's status in summary.json: ok, failed, diverged or stopped."""
        return {"early stop": "ok", "guard": "failed", "diverged": "diverged"}.get(self, "stopped")

    @property
    def signal(self) -> int | None:
        """The number of the signal that stopped the run, if one did."""
        return getattr(signals, self, None) if self.status == "stopped" else None


def status_of(reason: StopReason | None) -> str:
    """The status of a run that ended for this reason, or, with None, took all of its steps."""
    return reason.status if reason is not None else "ok"


@dataclass(frozen=True)
class Stopping:
    """The monitored metric, and how many evaluations in a row without improvement end the run (None: never)."""

    monitor: str
    patience: int | None
    min_delta: float

    @property
    def mode(self) -> str:
        """max if a larger value is better, else min."""
        return "max" if self.monitor.rpartition("/")[2] in LARGER_IS_BETTER else "min"

    def improves(self, value: float, best: float | None) -> bool:
        """Whether `value` beats the best so far by more than min_delta. NaN never does."""
        if best is None:
            return not math.isnan(value)
        return (value - best if self.mode == "max" else best - value) > self.min_delta


def make_stopping(monitor: str, early_stop: EarlyStop, names: Sequence[str], favourite: str) -> Stopping:
    """Choose the monitored metric.

    names: the metrics of the validation split; empty without such a split. favourite: the one of them that
    monitor=auto means. Raises ConfigError for a metric that the run does not report.
    """
    known = ["train/loss", *(f"val/{name}" for name in names)]
    if monitor == "auto":
        monitor = f"val/{favourite}" if names else "train/loss"
    if monitor not in known:
        raise ConfigError(f"monitor={monitor}: this run reports no such metric", "monitor=" + "|".join(known))
    return Stopping(monitor, early_stop.patience, early_stop.min_delta)
