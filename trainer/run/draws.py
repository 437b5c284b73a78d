"""Metrics that have no value a row, on rows that are drawn again (Efron 1979), for the intervals of `compare`."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.disk.val_rows import MOST_DRAWN, Array
from trainer.errors import TrainerError
from trainer.tasks import named_totals
from trainer.tasks.task import Task

DRAWS = 200  # their variance is then known to 10%, an interval to 5%


def measure(task: Task, names: Sequence[str], prediction: Tensor, y: Tensor) -> dict[str, Array]:
    """{metric: its value in each draw, (DRAWS,) float64, NaN where it is undefined}, of the task's own metrics of these
    names and of its metrics by name. prediction, y: (R, …), as the task's totals take them. A draw is of
    min(R, MOST_DRAWN) rows with replacement, and depends only on R, so that those of two runs can be paired. {} where a
    metric fails."""
    if not (names or task.named):
        return {}
    chance = torch.Generator().manual_seed(0)
    try:
        found = [_drawn(task, names, prediction, y, chance) for _ in range(DRAWS)]
    except TrainerError:  # such as of a metric of your own that needs every class
        return {}
    return {name: torch.tensor([values[name] for values in found], dtype=torch.float64).numpy() for name in found[0]}


def _drawn(
    task: Task, names: Sequence[str], prediction: Tensor, y: Tensor, chance: torch.Generator
) -> dict[str, float]:
    """The metrics of one draw, by name."""
    rows = torch.randint(len(y), (min(len(y), MOST_DRAWN),), generator=chance).to(y.device)
    totals = named_totals.begin(task, names)
    totals.add_loss(torch.zeros(()), torch.ones(()))  # a loss has a value a row
    totals.add(prediction[rows], y[rows])
    found = totals.reduce("val")
    return {name.removeprefix("val/"): value for name, value in found.items() if name != "val/loss"}
