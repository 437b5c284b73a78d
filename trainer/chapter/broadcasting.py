"""An axis of size 1 stretches without a copy, intended or not."""

from collections.abc import Iterator
from typing import Any

import torch


def show(batch: int, width: int) -> Iterator[Any]:
    """A right prediction (batch, 1) against a target (batch,)."""
    column, matrix = torch.rand(batch, 1), torch.rand(batch, width)
    stretched, _ = torch.broadcast_tensors(column, matrix)
    yield "(B, 1) + (B, width)", str(tuple((column + matrix).shape))
    yield "stride once stretched", str(stretched.stride())

    target = torch.arange(batch, dtype=torch.float64)
    prediction = target.unsqueeze(1)
    error = prediction - target
    yield f"prediction {[*prediction.shape]}, target {[*target.shape]}"
    yield "(B, 1) - (B,) is silently", str(tuple(error.shape))
    mended = prediction - target.unsqueeze(1)
    yield "Every prediction is right: the mean squared error should be 0."
    losses = [tensor.square().mean().item() for tensor in (error, mended)]
    yield "MSE: wrong, right shapes", losses
