"""What a terminal shows while the jobs of a sweep run: how far each has come, and how long all of them will take."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.text import Text

from trainer.compare.table import settings_text
from trainer.disk import history, layout, reading
from trainer.disk.sweep_plan import Job
from trainer.terminal.bar import bar_line, time_left
from trainer.terminal.screen import Screen

REFRESH = 0.1  # seconds between two looks at the folders, at least


@dataclass(frozen=True)
class Steps:
    """The steps that a running job has taken, all of them (0 while it starts), and its last training loss."""

    done: int = 0
    total: int = 0
    loss: float | None = None

    @property
    def share(self) -> float:
        return min(1.0, self.done / self.total) if self.total else 0.0

    def texts(self) -> list[str]:
        """What a line about the job says."""
        if not self.total:
            return ["starting"]
        total = f"{self.total:,}"
        return [f"{self.done:>{len(total)},}/{total}", f"loss {self.loss:<9.4g}" if self.loss is not None else ""]


def read_steps(folder: Path) -> Steps:
    """The steps of a running job, from its run folder."""
    total = reading.count(layout.read_summary(folder).get("num_steps")) or 0
    row = history.last_row(folder)
    return Steps(reading.count(row.get("step")) or 0, total, reading.number(row.get("train/loss")))


class Progress:
    """The progress of a sweep from now on. num_ended: the number of jobs that ended earlier and so tell no speed."""

    def __init__(self, screen: Screen, num_ended: int) -> None:
        self.screen, self.num_before = screen, num_ended
        self.begun, self.due_at = time.monotonic(), 0.0
        self.best = ""  # a line about the best job so far

    def show(
        self, sweep: Path, running: Sequence[Job], settings: Mapping[int, dict[str, str]], ended: int, total: int
    ) -> None:
        """Draw the live region. settings: of each job, by number; ended, total: numbers of jobs."""
        now = time.monotonic()
        if not self.screen.interactive or now < self.due_at:
            return
        self.due_at = now + REFRESH
        (width, height), plain = self.screen.console.size, self.screen.ascii_only
        steps = {job.number: read_steps(job.folder(sweep)) for job in running}
        done = ended + sum(job.share for job in steps.values())
        left = time_left(now - self.begun, done - self.num_before, total - self.num_before)
        state = [left, f"{ended}/{total} jobs", f"{len(running)} running"]
        shown = [Text()] * (ended > self.num_before) + [Text(self.best, "green")] * bool(self.best)
        shown.append(bar_line(done / total, state, width, ascii_only=plain))
        most = max(1, height // 2 - len(shown))
        for job in running[:most]:
            of_job = steps[job.number]
            bar = bar_line(of_job.share, of_job.texts(), width // 2, ascii_only=plain)
            bar.set_length(width // 2)
            shown.append(bar.append(settings_text(settings[job.number])))
        if len(running) > most:
            shown.append(Text(f"and {len(running) - most} more", "dim"))
        self.screen.show(shown)
