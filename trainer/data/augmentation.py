"""Random changes of training pictures."""

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

LEAST_AREA, MOST_ASPECT = 0.6, 4 / 3  # of the part that is kept


def augment(picture: Tensor) -> Tensor:
    """Resize a random part of a picture (channels, size, size) uint8 to all of it, and mirror it every second time.

    Draws from torch's global generator.
    """
    from PIL import Image

    size = picture.shape[-1]
    area, aspect, across, down, mirror = torch.rand(5).tolist()
    side = size * (LEAST_AREA + (1 - LEAST_AREA) * area) ** 0.5
    stretch = MOST_ASPECT ** (aspect - 0.5)
    width, height = min(size, side * stretch), min(size, side / stretch)
    left, top = across * (size - width), down * (size - height)
    pixels = Image.fromarray(picture.permute(1, 2, 0).squeeze(-1).numpy())
    part = pixels.resize((size, size), Image.Resampling.BILINEAR, box=(left, top, left + width, top + height))
    if mirror < 0.5:
        part = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return torch.from_numpy(np.asarray(part).reshape(size, size, -1).transpose(2, 0, 1).copy())


class Augmented(Dataset[Any]):
    """The rows of a Dataset of pictures, each augmented when it is read."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Tensor, Any]:
        x, y = self.dataset[index]
        return augment(x), y
