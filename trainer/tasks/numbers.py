"""Numbers: squared and absolute errors, and the share of the spread that is explained."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trainer.data.scaling import Scale
from trainer.data.tree import Tree
from trainer.device import widest_dtype
from trainer.processes.ranks import Ranks
from trainer.stopping import METRICS
from trainer.tasks import columns
from trainer.tasks.columns import Columns
from trainer.tasks.quantile import middle
from trainer.tasks.task import Ratio, Task
from trainer.tasks.totals import Totals


class Numbers(Task):
    """Numbers, in the units of the data."""

    name, loss, modes, monitor = "numbers", "torch.nn.MSELoss", METRICS["numbers"], "loss"

    def totals(self, names: Sequence[str]) -> Totals:
        return NumberTotals(names, self.scale)

    def of_rows(self, prediction: Tree, y: Tensor) -> Mapping[str, Ratio]:
        """Squared and absolute errors."""
        guess, truth = self.for_metrics(prediction, y) if isinstance(prediction, Tensor) else (prediction, y)
        if not isinstance(guess, Tensor) or guess.numel() != truth.numel():
            return {}
        error = (guess.reshape(truth.shape) - truth).reshape(len(y), -1)
        size = torch.full((len(y),), error.shape[1], device=y.device)
        return {"mse": (error.square().sum(1), size), "mae": (error.abs().sum(1), size)}

    def answer(self, prediction: Tree) -> Tree:
        """Numbers in the data's units, in float64 where the targets were standardised."""
        if self.scale is None or not isinstance(prediction, Tensor):
            return prediction
        return self.scale.predicted(prediction)

    def columns(self, prediction: Tensor, targets: Sequence[str]) -> Columns | None:
        """A column for each number."""
        return columns.of_numbers(self.answer(prediction), targets) if isinstance(prediction, Tensor) else None

    def for_metrics(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Both (N, …) in the data's units."""
        dtype = widest_dtype(y.device)
        y = y.to(dtype)
        return self.answer(middle(prediction, y).to(dtype)), y if self.scale is None else self.scale.inverse(y)


class NumberTotals(Totals):
    """Sums in the data's units. scale: from the data's units to those of predictions and targets, if any."""

    def __init__(self, names: Sequence[str], scale: Scale | None) -> None:
        super().__init__(names)
        self.scale = scale
        self.center: Tensor | None = None  # a row of targets, which their sums count from

    def add(self, prediction: Tensor, y: Tensor) -> None:
        """Counts from a target of the split: a large offset would take the digits of the sums."""
        truth, guess = (part.to(widest_dtype(y.device)) for part in (y, middle(prediction, y)))
        if self.scale is not None:
            truth, guess = self.scale.units(truth), self.scale.units(self.scale.linked(guess))
        error = (guess - truth).reshape(len(truth), -1)
        truth = truth.reshape(len(truth), -1)
        self.center = truth[0] if self.center is None else self.center
        self.sum("squared", error.square().sum(0))
        self.sum("absolute", error.abs().sum())
        self.sum("truth", (truth - self.center).sum(0))
        self.sum("truth_squared", (truth - self.center).square().sum(0))
        self.sum("count", truth.new_tensor(float(len(truth))))

    def add_ranks(self, ranks: Ranks) -> None:
        """Add up the sums of all ranks, after their targets count from the same one."""
        center = ranks.tell(None if self.center is None or ranks.size == 1 else self.center.cpu())
        if center is not None and self.center is not None:
            by, count, truth = self.center - center.to(self.center), self.sums["count"], self.sums["truth"]
            self.sums["truth_squared"] = self.sums["truth_squared"] + by * (2 * truth + by * count)
            self.sums["truth"] = truth + by * count
        super().add_ranks(ranks)

    def values(self, sums: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        num_values = sums["count"] * sums["squared"].numel()
        mse, mae = sums["squared"].sum() / num_values, sums["absolute"] / num_values
        return {"mse": mse, "mae": mae, "r2": _r2(sums)}


def _r2(sums: Mapping[str, Tensor]) -> Tensor:
    """The mean over outputs of 1 - SSE / SST. For targets that are all the same: 1 if predicted exactly, else 0."""
    if sums["count"] < 2:
        return torch.tensor(torch.nan)
    spread = (sums["truth_squared"] - sums["truth"].square() / sums["count"]).clamp_min(0.0)
    exact = (sums["squared"] == 0).to(torch.float64)
    return torch.where(spread == 0, exact, 1 - sums["squared"] / spread).mean()
