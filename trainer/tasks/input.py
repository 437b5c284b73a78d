"""The input itself: the mean squared error, as the model sees its inputs."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trainer.data.tree import Tree
from trainer.device import widest_dtype
from trainer.stopping import METRICS
from trainer.tasks.figures.drawing import Drawing, Source
from trainer.tasks.figures.inputs import InputDrawing
from trainer.tasks.task import Ratio, Task
from trainer.tasks.totals import Totals


class Input(Task):
    """The input itself: measured as the model sees it, answered in the units of the data."""

    name, loss, modes, monitor = "input", "torch.nn.MSELoss", METRICS["input"], "loss"

    def totals(self, names: Sequence[str]) -> Totals:
        return InputTotals(names)

    def of_rows(self, prediction: Tree, y: Tensor) -> Mapping[str, Ratio]:
        """Squared errors."""
        if not isinstance(prediction, Tensor) or prediction.numel() != y.numel():
            return {}
        error = (prediction.reshape(y.shape).to(widest_dtype(y.device)) - y).reshape(len(y), -1)
        return {"mse": (error.square().sum(1), torch.full((len(y),), error.shape[1], device=y.device))}

    def answer(self, prediction: Tree) -> Tree:
        """The input again, in its shape and the data's units, in float64 where it was standardised."""
        if self.scale is None or not isinstance(prediction, Tensor):
            return prediction
        shaped = self._shaped(prediction)
        return self.scale.inverse(shaped) if shaped.shape[1:] == self.facts.input_shape else prediction

    def drawing(self, source: Source) -> Drawing:
        """Inputs beside their reconstructions."""
        return InputDrawing(self.facts.input_shape, source)

    def for_metrics(self, prediction: Tree, y: Tensor) -> tuple[Tree, Tensor]:
        """Both in the shape of the input."""
        dtype = widest_dtype(y.device)
        if isinstance(prediction, Tensor) and prediction.numel() == y.numel():
            return self._shaped(prediction).to(dtype), self._shaped(y).to(dtype)
        return prediction, y

    def _shaped(self, rows: Tensor) -> Tensor:
        """Rows of as many numbers as an input has, in its shape; others as they are."""
        shape = self.facts.input_shape
        fits = rows.shape[1:] == shape or rows.shape[1:].numel() != math.prod(shape)
        return rows if fits else rows.reshape(rows.shape[0], *shape)


class InputTotals(Totals):
    """Squared errors."""

    def add(self, prediction: Tensor, y: Tensor) -> None:
        """prediction, y: of one shape; where they differ, or the model returns several tensors, nothing is measured."""
        if isinstance(prediction, Tensor) and prediction.numel() == y.numel():
            dtype = widest_dtype(y.device)
            error = prediction.reshape(y.shape).to(dtype) - y.to(dtype)
            self.sum("squared", error.square().sum())
            self.sum("count", torch.tensor(float(y.numel()), device=y.device))

    def values(self, sums: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {"mse": sums["squared"] / sums["count"] if "squared" in sums else torch.tensor(torch.nan)}
