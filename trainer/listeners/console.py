"""Shows a run: one line per evaluation, and on a terminal a bar and a curve below them."""

import time
from collections.abc import Sequence

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
        self.columns: dict[str, int] = {}  # name of a metric: its width
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
            self.columns = widths(list(event.metrics))
            head = f"{'epoch':>9} {'step':>9}" + "".join(f"{name:>{width}}" for name, width in self.columns.items())
            self.screen.say("", head, style="bold")
        progress = self.run.progress
        total = progress.num_steps / progress.steps_per_epoch
        epoch = f"{event.step / progress.steps_per_epoch:.4g}/{total:.4g}"
        values = "".join(f"{_cell(event.metrics[name], width):>{width}}" for name, width in self.columns.items())
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


def widths(names: Sequence[str]) -> dict[str, int]:
    """The width of each metric's column: 11, or less where they would not fit beside epoch, step and the star."""
    room = WIDTH - len(f"{'':>9} {'':>9} *")
    for narrowest in (11, 10, 9):
        found = {name: max(narrowest, len(name) + 1) for name in names}
        if sum(found.values()) <= room:
            break
    return found


def _cell(value: float, width: int) -> str:
    """Four decimals, or fewer if there is no room for a space before them."""
    texts = [f"{value:.4f}", *(f"{value:.{digits}g}" for digits in (4, 3, 2, 1))]
    return next((text for text in texts if len(text) < width), texts[-1])
