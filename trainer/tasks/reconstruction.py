"""The input itself: the mean squared error, as the model sees its inputs."""

from collections.abc import Mapping

import torch
from torch import Tensor

from trainer.device import widest_dtype
from trainer.tasks.totals import Totals


class InputTotals(Totals):
    """Squared errors."""

    def add(self, prediction: Tensor, y: Tensor) -> None:
        """prediction, y: of one shape; where they differ, or the model returns several tensors, nothing is measured."""
        if isinstance(prediction, Tensor) and prediction.numel() == y.numel():
            dtype = widest_dtype(y.device)
            error = prediction.reshape(y.shape).to(dtype) - y.to(dtype)
            self._add("squared", error.square().sum())
            self._add("count", torch.tensor(float(y.numel()), device=y.device))

    def values(self, sums: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        return {"mse": sums["squared"] / sums["count"] if "squared" in sums else torch.tensor(torch.nan)}
