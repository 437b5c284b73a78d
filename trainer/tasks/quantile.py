"""The pinball loss, which is least for the quantiles of the targets."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class QuantileLoss(nn.Module):
    """The mean of q·e where the error e = target − prediction is positive, and of (q − 1)·e where it is not, over K
    quantiles q. Formula: Koenker and Bassett (1978), Regression Quantiles.

    quantiles: K numbers between 0 and 1, in the order of the outputs. Raises ValueError for others.
    """

    def __init__(self, quantiles: Sequence[float] = (0.1, 0.5, 0.9)) -> None:
        super().__init__()
        if not quantiles or not all(0 < q < 1 for q in quantiles):
            raise ValueError(f"quantiles={list(quantiles)}: each must be above 0 and below 1")
        self.quantiles = tuple(map(float, quantiles))

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        """prediction: (N, K) for one number a row, (N, D·K) for D numbers, the K quantiles of each side by side; y:
        (N,) or (N, D). Returns 0-dim. Raises ValueError for other shapes."""
        size = len(self.quantiles)
        if prediction.numel() != size * y.numel():
            text = f"{size} quantiles of targets {tuple(y.shape)} need outputs of shape"
            raise ValueError(f"{text} ({len(y)}, {size * y[:1].numel()}), not {tuple(prediction.shape)}")
        error = y.unsqueeze(-1) - prediction.reshape(*y.shape, size)
        levels = prediction.new_tensor(self.quantiles)
        return torch.maximum(levels * error, (levels - 1) * error).mean()


def middle(prediction: Tensor, y: Tensor) -> Tensor:
    """A number for each target, in the targets' shape: of several, such as quantiles, the middle one: (N, D·K) for y
    (N, D) becomes (N, D). Other predictions stay as they are."""
    if y.numel() == 0 or prediction.numel() % y.numel():
        return prediction
    each = prediction.reshape(*y.shape, -1)
    return each[..., (each.shape[-1] - 1) // 2]
