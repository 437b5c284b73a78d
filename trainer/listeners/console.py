"""Shows a run: a table of its evaluations and, on a terminal, the best so far, a bar and a curve below it."""

import time
from collections.abc import Mapping

from rich.text import Text

from trainer.events import Ended, Evaluated, Event, Started, Stepped
from trainer.listeners import Listener
from trainer.listeners.evaluation_table import EvaluationTable
from trainer.state import TrainState
from trainer.terminal.bar import bar_line, time_left
from trainer.terminal.chart import chart
from trainer.terminal.screen import Screen
from trainer.text import WIDTH, short

REFRESH = 0.1  # seconds between two drawings of the live region, at least
CURVE = 1.0  # seconds between two drawings of its curve, which take longer
SHARE = 0.005  # of the run's time that drawing may take
NARROWEST, LOWEST, HIGHEST = 40, 4, 8  # columns and rows of the curve
SILENCE = 60.0  # seconds after which the next evaluation gets a row in any case


class Console(Listener):
    """Adds points to `curves`, {"train" or "val": (step, loss) points}; reads a loss only at logged steps."""

    def __init__(self, run: TrainState, screen: Screen, curves: dict[str, list[tuple[float, float]]]) -> None:
        self.run, self.screen, self.curves = run, screen, curves
        self.table: EvaluationTable | None = None  # from the first evaluation on
        self.skipped: Evaluated | None = None  # the last evaluation, if it got no row
        self.best: Mapping[str, float] = {}  # metrics
        self.curve, self.curve_size = list[str](), (0, 0)
        self.interactive, self.due_at, self.curve_due_at, self.row_due_at = screen.interactive, 0.0, 0.0, 0.0
        self.resumed_at = run.progress.step
        self.first: tuple[float, int, int] | None = None  # time, step and samples after a first step, which may compile

    def __call__(self, event: Event) -> None:
        if isinstance(event, Stepped):
            if event.logged is not None:
                self.curves["train"].append((event.step, event.logged.loss))
            if self.interactive and time.monotonic() > self.due_at:
                self._show()
        elif isinstance(event, Evaluated):
            self._evaluated(event)
        elif isinstance(event, Ended) and self.skipped is not None:
            self._row(self.skipped)
        elif isinstance(event, Started) and self.interactive:
            self._show()

    def close(self) -> None:
        """Remove the live region."""
        self.screen.clear()

    def _evaluated(self, event: Evaluated) -> None:
        if "val/loss" in event.metrics:
            self.curves["val"].append((event.step, event.metrics["val/loss"]))
        if event.improved:
            self.best = event.metrics
        if self.table is None:
            self.table = EvaluationTable(self.run.progress, list(event.metrics), self.run.stopping.monitor)
            if self.table.num_left_out:
                self.screen.say(f"columns  {self.table.num_left_out} more in results.csv")
            if self.table.every > 1:
                self.screen.say(f"rows     1 of {self.table.every:,} evaluations; metrics.jsonl holds all of them")
            self.screen.say("", self.table.head(), style="bold")
        self.skipped = event
        if self.table.has_row(event.step) or time.monotonic() > self.row_due_at:
            if self.interactive:
                self._show()  # so that the bar is never behind the rows
            self._row(event)

    def _row(self, event: Evaluated) -> None:
        if self.table is not None:
            self.skipped, self.row_due_at = None, time.monotonic() + SILENCE
            self.screen.say(self.table.row(event.step, event.metrics) + " *" * event.improved)

    def _show(self) -> None:
        now, progress = time.monotonic(), self.run.progress
        if self.first is None and progress.step > self.resumed_at:
            self.first = now, progress.step, progress.samples
        width, height = self.screen.console.size
        self._draw_curve(now, width, height)
        begun_at = time.monotonic()
        share, plain = progress.step / progress.num_steps, self.screen.ascii_only
        bar = bar_line(share, self._texts(now), width, ascii_only=plain)
        self.screen.show([Text(), *self._best(), bar, *map(Text, self.curve)])
        done_at = time.monotonic()
        self.due_at = done_at + max(REFRESH, (done_at - begun_at) / SHARE)

    def _best(self) -> list[Text]:
        """The names of the columns, which have perhaps scrolled away, and the best evaluation so far."""
        progress, table = self.run.progress, self.table
        if table is None or progress.best is None:
            return []
        metrics = self.best or {self.run.stopping.monitor: progress.best}
        row = table.row(progress.best_step, metrics, epoch="best")
        return [Text(table.head(), "bold"), Text(row, "green")]

    def _texts(self, now: float) -> list[str]:
        progress = self.run.progress
        begun_at, step, samples = self.first or (now, progress.step, progress.samples)
        rate = (progress.samples - samples) / max(now - begun_at, 1e-9)
        return [
            time_left(now - begun_at, progress.step - step, progress.num_steps - step),
            f"{progress.step:,}/{progress.num_steps:,}",
            f"loss {self.curves['train'][-1][1]:.4g}" if self.curves["train"] else "",
            f"{short(rate)} samples/s" if rate else "",
        ]

    def _draw_curve(self, now: float, width: int, height: int) -> None:
        """Draw the curve again if it is due or no longer fits; none where the terminal is too small for it. The region
        takes half of the terminal's height, so that a window made half as wide still holds all of it."""
        size = min(WIDTH, width - 1), min(HIGHEST, height // 2 - 7)
        if size[0] < NARROWEST or size[1] < LOWEST:
            self.curve = []
        elif now > self.curve_due_at or size != self.curve_size:
            plain = self.screen.ascii_only
            self.curve = chart(self.curves, title="loss", width=size[0], height=size[1], ascii_only=plain)
            self.curve_size, done_at = size, time.monotonic()
            self.curve_due_at = done_at + max(CURVE, (done_at - now) / SHARE)
