"""The operations on a batch of pictures.

Pixels are those of the data, before any scaling: 0 is black. Each operation takes draws of its own from those of a row,
always the same ones, so what it draws does not depend on the others. u: (COUNT, B), uniform in [0, 1).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.augment import crop, cutout, draws, light, placement

Operation = Callable[[Tensor, Tensor], Tensor]  # of (x, u): pictures (B, C, H, W), and what is drawn for them
COUNT = 9


@dataclass(frozen=True)
class Mirror:
    """Mirrors every second picture."""

    def __call__(self, x: Tensor, u: Tensor) -> Tensor:
        return placement.mirrored(x, u[0] < 0.5)


@dataclass(frozen=True)
class Shift:
    """Moves by up to `most` pixels in each direction."""

    most: int

    def __call__(self, x: Tensor, u: Tensor) -> Tensor:
        down, right = draws.below(u[1:3], 2 * self.most + 1) - self.most
        return placement.shifted(x, down, right)


@dataclass(frozen=True)
class Crop:
    """Keeps a part of the picture with `padding` pixels of black around it."""

    padding: int

    def __call__(self, x: Tensor, u: Tensor) -> Tensor:
        top, left = draws.below(u[3:5], 2 * self.padding + 1)
        return crop.cropped(x, top, left, self.padding)


@dataclass(frozen=True)
class Cutout:
    """Blackens a square of `side` pixels, its middle anywhere."""

    side: int

    def __call__(self, x: Tensor, u: Tensor) -> Tensor:
        return cutout.cut_out(x, draws.below(u[5], x.shape[2]), draws.below(u[6], x.shape[3]), self.side)


@dataclass(frozen=True)
class Light:
    """Multiplies brightness or contrast by a number between 1 - most and 1 + most. dtype: of the floats that it makes;
    draw: the one that it takes."""

    change: Callable[[Tensor, Tensor, float], Tensor]
    most: float
    white: float
    dtype: torch.dtype
    draw: int

    def __call__(self, x: Tensor, u: Tensor) -> Tensor:
        low = max(0.0, 1 - self.most)
        factor = low + (1 + self.most - low) * u[self.draw].to(self.dtype)
        return self.change(x.to(self.dtype), factor, self.white)


def chosen(
    *,
    flip: bool,
    shift: int,
    crop: int,
    cutout: int,
    brightness: float,
    contrast: float,
    white: float,
    dtype: torch.dtype,
) -> list[Operation]:
    """The operations that these keys of `augment` ask for, in their order. white: the pixel that is; dtype: of the
    model."""
    found: list[tuple[float, Operation]] = [
        (flip, Mirror()),
        (shift, Shift(shift)),
        (crop, Crop(crop)),
        (cutout, Cutout(cutout)),
        (brightness, Light(light.brightened, brightness, white, dtype, 7)),
        (contrast, Light(light.contrasted, contrast, white, dtype, 8)),
    ]
    return [operation for asked, operation in found if asked]


class Operations:
    """Some operations, one after another. key: 63 bits, see draws."""

    def __init__(self, key: int, operations: Sequence[Operation]) -> None:
        self.key, self.operations = key, operations

    def __call__(self, x: Tensor, rows: Tensor, epoch: Tensor) -> Tensor:
        """x: pictures (B, C, H, W) of these rows (B,) in these epochs (B,)."""
        if not self.operations:
            return x
        u = draws.uniform(self.key, epoch, rows, 0, COUNT)
        for operation in self.operations:
            x = operation(x, u)
        return x
