"""The range of the pixels of training pictures, which says what is white."""

import torch
from torch import Tensor

from trainer.data.partition import RowData
from trainer.data.parts import Part
from trainer.data.tensors import TensorData

BYTE = 255.0
LOOKED_AT = 256  # rows of a Dataset that is read row by row
GROUP = 4096  # rows of tensors at a time


def pixel_range(part: Part[RowData]) -> tuple[float, float]:
    """(The lowest pixel, the highest) of the pictures of a part: of all rows in memory, or of the first. (0, 255) for
    bytes, whatever they hold, and for what is not a tensor."""
    data, rows = part.data, part.rows
    groups = rows.split(GROUP) if isinstance(data, TensorData) else [rows[:LOOKED_AT]]
    low, high = float("inf"), float("-inf")
    for group in groups:
        x, _ = data[group] if isinstance(data, TensorData) else data.collate([data.read(int(row)) for row in group])
        if not isinstance(x, Tensor) or x.dtype == torch.uint8 or not x.numel():
            return 0.0, BYTE
        low, high = min(low, float(x.min())), max(high, float(x.max()))
    return low, high


def white(part: Part[RowData]) -> float:
    """The pixel that is white: 1 of floats from 0 to 1, else 255."""
    return white_of(pixel_range(part)[1])


def white_of(highest: float) -> float:
    """The same, of pixels up to the highest."""
    return 1.0 if highest <= 1 else BYTE
