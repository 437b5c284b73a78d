"""A part of a picture that is padded with black, of the picture's own size."""

import torch
from torch import Tensor

from trainer.augment import placement


def cropped(x: Tensor, top: Tensor, left: Tensor, padding: int) -> Tensor:
    """Pad pictures (B, C, H, W) with `padding` pixels of 0 on all sides, and keep the part of size (H, W) that begins
    at (top, left), (B,) int64, of the padded picture."""
    rows, columns = placement.sources(x, top - padding, left - padding)
    height, width = x.shape[2:]
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & ((columns >= 0) & (columns < width))[:, None, None, :]
    part = placement.taken(x, rows.clamp(0, height - 1), columns.clamp(0, width - 1))
    return torch.where(inside, part, torch.zeros((), dtype=x.dtype, device=x.device))
