"""Best, plateau and early stop: what an evaluation decides. Resumed with Progress."""

import math
import signal as signals
from dataclasses import dataclass
from enum import StrEnum

LARGER_IS_BETTER = ("acc", "r2", "f1", "precision", "recall", "auc")


class StopReason(StrEnum):
    """Why a run ended before its last step. Checkpoints and summary.json hold the values."""

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
        """The number of the signal that asked for it, if one did."""
        return getattr(signals, self, None) if self.status == "stopped" else None


def status_of(reason: StopReason | None) -> str:
    """The status of a run that ended for this reason; None: all steps were taken."""
    return reason.status if reason is not None else "ok"


@dataclass(frozen=True)
class Stopping:
    """The monitored metric, and how many evaluations without improvement end the run (None: never)."""

    monitor: str
    patience: int | None
    min_delta: float

    @property
    def mode(self) -> str:
        """max where more is better, else min."""
        return "max" if self.monitor.rpartition("/")[2] in LARGER_IS_BETTER else "min"

    def improves(self, value: float, best: float | None) -> bool:
        """Whether `value` is better than the best so far by more than min_delta. NaN never is."""
        if math.isnan(value):
            return False
        gain = 0.0 if best is None else (value - best if self.mode == "max" else best - value)
        return best is None or gain > self.min_delta
