"""Best, plateau and early stop: what an evaluation decides. Resumed with Progress."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trainer.state import TrainState

LARGER_IS_BETTER = ("acc", "r2", "f1", "precision", "recall", "auc")


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


def judge(run: "TrainState", metrics: Mapping[str, float]) -> bool:
    """Note the best, move a plateau scheduler, stop early. Returns whether the monitored metric improved."""
    progress, stopping = run.progress, run.stopping
    value = metrics[stopping.monitor]
    if hasattr(run.scheduler, "look"):
        run.scheduler.look(value)
    if stopping.improves(value, progress.best):
        progress.best, progress.best_step, progress.bad_evaluations = value, progress.step, 0
        run.keep_best()
        return True
    progress.bad_evaluations += 1
    if stopping.patience is not None and progress.bad_evaluations >= stopping.patience:
        progress.stop_reason = progress.stop_reason or "early stop"
    return False
