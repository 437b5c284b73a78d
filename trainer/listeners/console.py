"""The run as a person watches it: one line an evaluation, and on a terminal a bar and a curve below."""

import time

from rich.text import Text

from trainer.events import Ended, Evaluated, Event, Stepped
from trainer.state import TrainState
from trainer.terminal.chart import chart
from trainer.terminal.screen import Screen
from trainer.text import WIDTH, clock

REFRESH = 0.12  # seconds between two drawings of the live region, at least
SHARE = 0.005  # of the time that drawing may take


class Console:
    """Keeps the points of the curves, beginning with `curves`; reads a loss from the device only when it is due."""

    def __init__(self, run: TrainState, screen: Screen, curves: dict[str, list[tuple[float, float]]]) -> None:
        self.run, self.screen, self.curves = run, screen, curves
        self.columns: list[str] = []
        self.interactive, self.due_at = screen.interactive, 0.0
        self.begun, self.first_sample = time.monotonic(), run.progress.samples

    def __call__(self, event: Event) -> None:
        if isinstance(event, Stepped):
            if event.step % self.run.log_every == 0:
                self.curves["train"].append((event.step, event.loss.item()))
            if self.interactive and time.monotonic() > self.due_at:
                self._show()
        elif isinstance(event, Evaluated):
            if "val/loss" in event.metrics:
                self.curves["val"].append((event.step, event.metrics["val/loss"]))
            self._line(event)
        elif isinstance(event, Ended):
            self.screen.clear()

    def close(self) -> None:
        """Take the live region away."""
        self.screen.clear()

    def _line(self, event: Evaluated) -> None:
        if not self.columns:
            self.columns = list(event.metrics)
            head = f"{'epoch':>9} {'step':>9}" + "".join(f"{name:>11}" for name in self.columns)
            self.screen.say("\n" + head, style="bold")
        progress = self.run.progress
        total = progress.num_steps / progress.steps_per_epoch
        epoch = f"{event.step / progress.steps_per_epoch:.4g}/{total:.4g}"
        values = "".join(f"{_cell(event.metrics[name]):>11}" for name in self.columns)
        self.screen.say(f"{epoch:>9} {event.step:>9,}{values}{' *' if event.improved else ''}")

    def _show(self) -> None:
        drawn_at = time.monotonic()
        progress = self.run.progress
        seconds = drawn_at - self.begun
        rate = (progress.samples - self.first_sample) / max(seconds, 1e-9)
        share = progress.step / progress.num_steps
        left = (progress.num_steps - progress.step) * self.run.train_batches.batch_size / max(rate, 1e-9)
        done = int(30 * share)
        full, rest = ("#", "-") if self.screen.ascii_only else ("━", "─")
        text = Text()
        text.append("\n" + full * done, style="cyan")
        text.append(rest * (30 - done), style="dim")
        loss = f"  loss {self.curves['train'][-1][1]:.4g}" if self.curves["train"] else ""
        text.append(f" {progress.step:,}/{progress.num_steps:,}{loss}  {rate:,.0f} samples/s  {clock(left)} left\n")
        lines = chart(self.curves, title="loss", width=WIDTH, height=8, ascii_only=self.screen.ascii_only)
        text.append("\n".join(lines))
        self.screen.show(text)
        done_at = time.monotonic()
        self.due_at = done_at + max(REFRESH, (done_at - drawn_at) / SHARE)


def _cell(value: float) -> str:
    """Four decimals where that leaves room for a space in front."""
    text = f"{value:.4f}"
    return text if len(text) <= 10 else f"{value:.4g}"
