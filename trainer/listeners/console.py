"""Shows a run: one line per evaluation, and on a terminal a bar and a curve below them."""

import time

from rich.text import Text

from trainer.events import Evaluated, Event, Stepped
from trainer.listeners import Listener
from trainer.state import TrainState
from trainer.terminal.chart import chart
from trainer.terminal.screen import Screen
from trainer.text import WIDTH, clock

REFRESH = 0.12  # seconds between two drawings of the live region, at least
SHARE = 0.005  # of the run's time that drawing may take


class Console(Listener):
    """Adds points to `curves`, {"train" or "val": (step, loss) points}; reads a loss only at logged steps."""

    def __init__(self, run: TrainState, screen: Screen, curves: dict[str, list[tuple[float, float]]]) -> None:
        self.run, self.screen, self.curves = run, screen, curves
        self.columns: list[str] = []
        self.interactive, self.due_at = screen.interactive, 0.0
        self.started, self.first_sample = time.monotonic(), run.progress.samples

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

    def close(self) -> None:
        """Remove the live region."""
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
        begun_at, progress = time.monotonic(), self.run.progress
        rate = (progress.samples - self.first_sample) / max(begun_at - self.started, 1e-9)
        left = (progress.num_steps - progress.step) * self.run.train_batches.batch_size / max(rate, 1e-9)
        done = int(30 * progress.step / progress.num_steps)
        full, rest = ("#", "-") if self.screen.ascii_only else ("━", "─")
        text = Text.assemble(("\n" + full * done, "cyan"), (rest * (30 - done), "dim"))
        loss = f"  loss {self.curves['train'][-1][1]:.4g}" if self.curves["train"] else ""
        text.append(f" {progress.step:,}/{progress.num_steps:,}{loss}  {rate:,.0f} samples/s  {clock(left)} left\n")
        text.append("\n".join(chart(self.curves, title="loss", width=WIDTH, ascii_only=self.screen.ascii_only)))
        self.screen.show(text)
        done_at = time.monotonic()
        self.due_at = done_at + max(REFRESH, (done_at - begun_at) / SHARE)


def _cell(value: float) -> str:
    """Four decimals, or fewer if there is no room for a space before them."""
    text = f"{value:.4f}"
    return text if len(text) <= 10 else f"{value:.4g}"
