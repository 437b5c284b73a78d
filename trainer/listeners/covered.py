"""Trackers that cannot take back a step, as W&B and trackio: each step waits for the checkpoint that covers it, since a
run that is killed takes the later ones again. metrics.jsonl holds what waits, also over a kill."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from trainer.disk import folder as folders
from trainer.disk import layout, reading
from trainer.events import Ended, Event, Started
from trainer.listeners import Tracker, scalars
from trainer.state import TrainState
from trainer.stopping import StopReason, status_of


class Tool(Protocol):
    """A tracker that takes steps in their order. first: the first step that it does not have."""

    first: int

    def give(self, step: int, values: Mapping[str, float]) -> None:
        """Take all numbers of a step, by name."""

    def finish(self, report: Path | None, *, succeeded: bool) -> None:
        """Take the report, and wait until everything is stored. succeeded: whether the run ended normally."""


class Covered(Tracker):
    """Gives a tool each step that a checkpoint covers and that it does not have; of a diverged run at its end the rest,
    which no checkpoint will cover."""

    def __init__(self, run: TrainState, folder: Path, tool: Tool) -> None:
        self.run, self.tool, self.report = run, tool, folder / layout.REPORT
        self.lines = os.fdopen(folders.open_file(folder / layout.METRICS, reading.FLAGS), "rb")
        self.has_ended = False

    def __call__(self, event: Event) -> None:
        self.has_ended = isinstance(event, Ended)
        if isinstance(event, Started):  # what a kill left between a checkpoint and the tool
            self.saved()

    def saved(self) -> None:
        """Give what has been written up to this step: all of it is covered. A step whose evaluation is still to come
        waits, since it is given as a whole."""
        progress = self.run.progress
        self._give(progress.step - 1 if progress.awaits_evaluation else progress.step)

    def _give(self, last: int) -> None:
        """Give the steps up to `last` that have not been read."""
        found: dict[int, dict[str, float]] = {}
        while line := self.lines.readline():
            row = json.loads(line)
            if row["step"] > last:
                self.lines.seek(-len(line), os.SEEK_CUR)
                break
            found.setdefault(row["step"], {}).update(scalars.of_row(row))
        for step, values in found.items():
            if step >= self.tool.first:
                self.tool.give(step, values)

    def close(self) -> None:
        """Give the rest, and the report, if there is one."""
        progress = self.run.progress
        if self.has_ended and progress.stop_reason == StopReason.DIVERGED:
            self._give(progress.step)
        self.lines.close()
        report = self.report if self.report.exists() else None
        self.tool.finish(report, succeeded=self.has_ended and status_of(progress.stop_reason) == "ok")
