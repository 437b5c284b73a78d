"""Where a picture lies in its frame: mirrored, or moved by whole pixels. Pictures (B, C, H, W) of any dtype."""

import torch
from torch import Tensor


def mirrored(x: Tensor, which: Tensor) -> Tensor:
    """Exchange left and right. which: (B,) bool, of the pictures that are."""
    return torch.where(which[:, None, None, None], x.flip(3), x)


def shifted(x: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Move pictures by (down, right) pixels, (B,) int64, less than a side; what comes in is reflected at the border,
    which is not repeated (`padding_mode="reflect"`)."""
    rows, columns = sources(x, -down, -right)
    return taken(x, _reflected(rows, x.shape[2]), _reflected(columns, x.shape[3]))


def sources(x: Tensor, down: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """The row (B, H) and column (B, W), perhaps outside, that each pixel comes from, `down` and `right` of it."""
    height, width = (torch.arange(size, device=x.device) for size in x.shape[2:])
    return height + down[:, None], width + right[:, None]


def taken(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The pixels of these rows (B, H) and columns (B, W)."""
    places = (rows[:, :, None] * x.shape[3] + columns[:, None, :]).flatten(1)
    return x.flatten(2).gather(2, places[:, None].expand(-1, x.shape[1], -1)).reshape(x.shape)


def _reflected(places: Tensor, size: int) -> Tensor:
    return (size - 1) - ((size - 1) - places.abs()).abs()
