"""A black square in a picture. Source: DeVries and Taylor, Improved Regularization of CNNs with Cutout, 2017."""

import torch
from torch import Tensor


def cut_out(x: Tensor, middle_row: Tensor, middle_column: Tensor, side: int) -> Tensor:
    """Set a square of `side` pixels around a middle, (B,) int64, to 0; near the border, the part of it that is inside.
    x: pictures (B, C, H, W)."""
    height, width = (torch.arange(size, device=x.device) for size in x.shape[2:])
    rows, columns = _within(height, middle_row, side), _within(width, middle_column, side)
    inside = (rows[:, :, None] & columns[:, None, :])[:, None]
    return torch.where(inside, torch.zeros((), dtype=x.dtype, device=x.device), x)


def _within(places: Tensor, middle: Tensor, side: int) -> Tensor:
    first = (middle - side // 2)[:, None]
    return (places >= first) & (places < first + side)
