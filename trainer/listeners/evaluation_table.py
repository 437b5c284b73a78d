"""The table of a run's evaluations: which of them get a row, and its columns, at most 78 of them."""

from collections.abc import Mapping, Sequence
from itertools import product

from trainer.progress import Progress
from trainer.text import WIDTH, cut, decimal, short

MOST_ROWS = 50  # of a whole run, beside those that are due for another reason
MANY, IN_FULL = 100, 9_999  # epochs in total: from here on without decimals; the most not written as 20k
LONGEST, NARROWEST = (WIDTH, 15, 13), (11, 10, 9)  # a name above its column; a column


class EvaluationTable:
    """Rows of metrics. A run of more than MOST_ROWS evaluations has a row for 1 in 2, 5, 10, 20, … of them. Where there
    are more metrics than there is room for, the terms of train/loss have no column, and then the last ones; `monitor`
    always has one."""

    def __init__(self, progress: Progress, names: Sequence[str], monitor: str = "") -> None:
        self.progress = progress
        every, end = min(progress.eval_every, progress.num_steps), progress.num_steps
        total = end / progress.steps_per_epoch
        self.digits = decimal if total < MANY else "{:,.0f}".format
        self.total = self.digits(total) if total <= IN_FULL else short(total)
        epochs = [self.epoch(step) for step in (every, (end - 1) // every * every, end)]
        self.first_columns = max(9, *map(len, epochs)), max(9, len(f"{end:,}"))
        self.heads, self.columns = columns(names, WIDTH - sum(self.first_columns) - len("  *"), monitor)
        self.num_left_out = len(names) - len(self.columns)
        steps = (digit * 10**power for power in range(12) for digit in (1, 2, 5))
        self.every = next(every for every in steps if progress.num_steps / progress.eval_every <= every * MOST_ROWS)

    def has_row(self, step: int) -> bool:
        """Whether the evaluation after `step` steps is the first or the last one, or one in `every`."""
        number = -(-step // self.progress.eval_every)
        return number == 1 or number % self.every == 0 or step == self.progress.num_steps

    def epoch(self, step: int) -> str:
        """The epoch after a step, and how many there are."""
        return f"{self.digits(step / self.progress.steps_per_epoch)}/{self.total}"

    def head(self) -> str:
        """The names of the columns."""
        return self._line("epoch", "step", self.heads)

    def row(self, step: int, metrics: Mapping[str, float], epoch: str = "") -> str:
        """An evaluation. metrics: those of other names are left out. epoch: what stands in its place."""
        found = {name: cell(metrics[name], self.columns[name]) for name in self.columns if name in metrics}
        return self._line(epoch or self.epoch(step), f"{step:,}", found)

    def _line(self, epoch: str, step: str, cells: Mapping[str, str]) -> str:
        first, second = self.first_columns
        values = "".join(f"{cells.get(name, ''):>{width}}" for name, width in self.columns.items())
        return f"{epoch:>{first}} {step:>{second}}{values}"


def columns(names: Sequence[str], room: int, monitor: str = "") -> tuple[dict[str, str], dict[str, int]]:
    """(What stands above each metric's column, the width of each). Where the names do not fit the room, columns are
    narrower, then names are cut; then columns go, first those of the terms of train/loss, and the last ones first."""
    for longest, narrowest in product(LONGEST, NARROWEST):
        heads = shortened(names, longest)
        widths = {name: max(narrowest, len(head) + 1) for name, head in heads.items()}
        if sum(widths.values()) <= room:
            return heads, widths
    terms = [name for name in names if name.startswith("train/") and name != "train/loss"]
    for name in (*reversed(terms), *(name for name in reversed(names) if name not in terms)):
        if name != monitor and sum(widths.values()) > room:
            del widths[name]
    return heads, widths


def shortened(names: Sequence[str], longest: int) -> dict[str, str]:
    """The beginning of each name that is longer, where no other begins so."""
    short = {name: cut(name, longest) for name in names}
    return {name: head if list(short.values()).count(head) == 1 else name for name, head in short.items()}


def cell(value: float, width: int) -> str:
    """Four decimals, or fewer if there is no room for a space before them."""
    texts = [f"{value:.4f}", *(f"{value:.{digits}g}" for digits in (4, 3, 2, 1))]
    return next((text for text in texts if len(text) < width), texts[-1])
