"""Saves the state: at most every so many seconds, on SIGUSR1, at the end, and on a stop."""

import time
from collections.abc import Callable
from pathlib import Path

from trainer import checkpoint
from trainer.events import Ended, Event, Started
from trainer.processes import signals
from trainer.state import TrainState
from trainer.stopping import StopReason


class Checkpoints:
    """Watches the clock between two steps. `last` is the newest checkpoint that this run has written or begun from."""

    def __init__(
        self, run: TrainState, folder: Path, every_seconds: float, keep: int, sync_metrics: Callable[[], dict[str, int]]
    ) -> None:
        self.run, self.folder, self.every_seconds, self.keep = run, folder, every_seconds, keep
        self.sync_metrics = sync_metrics
        existing = checkpoint.checkpoints(folder)
        self.last: Path | None = existing[-1] if existing else None
        self.saved_at = time.monotonic()
        self.seconds = 0.0
        self.wanted = False

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self.saved_at = time.monotonic()
        elif self.run.progress.stop_reason == StopReason.DIVERGED:
            return
        elif isinstance(event, Ended) or self.due():
            self.save()

    def due(self) -> bool:
        """Whether it is time, or a signal asks; a step that is still to be evaluated is saved after that."""
        self.wanted = signals.save_wanted() or self.wanted
        in_time = time.monotonic() - self.saved_at >= self.every_seconds
        return (in_time or self.wanted) and not self.run.progress.evaluation_due

    def save(self) -> None:
        """Save now."""
        begun = time.monotonic()
        self.last = checkpoint.save(self.run, self.folder, self.keep, self.sync_metrics)
        self.saved_at, self.wanted = time.monotonic(), False
        self.seconds += self.saved_at - begun

    def close(self) -> None:
        """Nothing is open."""
