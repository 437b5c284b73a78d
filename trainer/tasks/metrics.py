"""Metrics from sums and counts, added up on the device and divided once, so that uneven batches weigh right."""

import torch
from torch import Tensor

from trainer.data.labels import IGNORED
from trainer.data.scaling import Scale
from trainer.device import widest_dtype

NAMES = {"classes": ("loss", "acc"), "numbers": ("loss", "mse", "mae", "r2")}  # of a validation split, by task
MONITOR = {"classes": "acc", "numbers": "loss"}  # what monitor=auto means


class Totals:
    """Sums over a split: correct predictions of classes, or squared and absolute errors of numbers in their units."""

    def __init__(self, task: str, scale_y: Scale | None, ignored: int = IGNORED) -> None:
        """ignored: the label that does not count; nor does any below 0."""
        self.task, self.scale_y, self.ignored = task, scale_y, ignored
        self.sums: dict[str, Tensor] = {}

    def add(self, prediction: Tensor, y: Tensor, loss: Tensor, denominator: Tensor) -> None:
        """Add a batch. prediction: (B, C) logits or (B, outputs); loss, denominator: 0-dim; see losses.denominator."""
        self._add("loss", loss.to(denominator.dtype) * denominator)
        self._add("denominator", denominator)
        if self.task == "classes":
            labels = y if not y.is_floating_point() else y.argmax(1)
            counted = (labels >= 0) & (labels != self.ignored)
            self._add("correct", ((prediction.argmax(1) == labels) & counted).sum())
            self._add("count", counted.sum())
        else:
            wide = widest_dtype(y.device)
            truth, guess = y.to(wide), prediction.to(wide)
            if self.scale_y is not None:
                truth, guess = self.scale_y.inverse(truth), self.scale_y.inverse(guess)
            error = (guess - truth).reshape(len(truth), -1)
            truth = truth.reshape(len(truth), -1)
            self._add("squared", error.square().sum(0))
            self._add("absolute", error.abs().sum())
            self._add("truth", truth.sum(0))
            self._add("truth_squared", truth.square().sum(0))
            self._add("count", truth.new_tensor(float(len(truth))))

    def _add(self, name: str, value: Tensor) -> None:
        self.sums[name] = self.sums[name] + value if name in self.sums else value

    def reduce(self, split: str) -> dict[str, float]:
        """{'val/loss': …, 'val/acc': …} or mse, mae and r2; r2 is the mean over outputs of 1 - SSE / SST."""
        sums = {name: value.to("cpu", torch.float64) for name, value in self.sums.items()}
        values = {"loss": sums["loss"] / sums["denominator"]}
        if self.task == "classes":
            values["acc"] = sums["correct"] / sums["count"]
        else:
            num_values = sums["count"] * sums["squared"].numel()
            spread = sums["truth_squared"] - sums["truth"].square() / sums["count"]
            values["mse"] = sums["squared"].sum() / num_values
            values["mae"] = sums["absolute"] / num_values
            values["r2"] = (1 - sums["squared"] / spread).mean()
        return {f"{split}/{name}": float(value) for name, value in values.items()}
