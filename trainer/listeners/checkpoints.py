"""Saves the state: every few seconds or minutes, on SIGUSR1, at the end, and on a stop."""

import time
from collections.abc import Callable
from pathlib import Path

from trainer import checkpoint
from trainer.events import Ended, Event, Started
from trainer.listeners import Listener
from trainer.processes import signals
from trainer.state import TrainState
from trainer.stopping import StopReason


class Checkpoints(Listener):
    """Saves between two steps. keep: the number of checkpoints to keep. sync_metrics: waits until the metrics files are
    on the disk; returns the size of each in bytes. saved: called when a checkpoint is complete. last: the newest
    checkpoint. seconds: time spent saving; took: the last save's."""

    def __init__(
        self,
        run: TrainState,
        folder: Path,
        every_seconds: float,
        keep: int,
        sync_metrics: Callable[[], dict[str, int]],
        saved: Callable[[], None] = lambda: None,
    ) -> None:
        self.run, self.folder, self.every_seconds, self.keep = run, folder, every_seconds, keep
        self.sync_metrics, self.saved = sync_metrics, saved
        self.last: Path | None = next(reversed(checkpoint.checkpoints(folder)), None)
        self.saved_at, self.seconds, self.took, self.requested = time.monotonic(), 0.0, 0.0, False

    def __call__(self, event: Event) -> None:
        if isinstance(event, Started):
            self.saved_at = time.monotonic()
        elif isinstance(event, Ended) or self.due():
            self.run.look()
            if self.run.progress.stop_reason != StopReason.DIVERGED:
                self.save()

    def due(self) -> bool:
        """Whether to save now: it is time, or a signal asked for it. Waits until a due evaluation is done,
        and for the end of a call."""
        self.requested = signals.save_requested() or self.requested
        is_time = time.monotonic() - self.saved_at >= self.every_seconds
        return (is_time or self.requested) and self.run.is_whole and not self.run.progress.evaluation_due

    def save(self) -> None:
        """Save a checkpoint."""
        started = time.monotonic()
        self.last = checkpoint.save(self.run, self.folder, self.keep, self.sync_metrics)
        self.saved()
        self.saved_at, self.requested = time.monotonic(), False
        self.took = self.saved_at - started
        self.seconds += self.took
