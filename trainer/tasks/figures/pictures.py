"""Tensors as pictures for a page."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from trainer.data import tree
from trainer.data.tree import Tree
from trainer.disk.figures import MOST_SIDE, Picture

SMALLEST = 4  # pixels of a side, below which numbers in two axes are not taken for a picture
IGNORED = (128, 128, 128)
COLOURS = [  # of the classes: dark for the first, often the background, then Okabe and Ito's
    (34, 40, 49), (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66), (0, 114, 178), (213, 94, 0),
    (204, 121, 167),
]  # fmt: skip


def colour(number: int) -> tuple[int, int, int]:
    """The colour of a class: the same for the same number; after the first few, spread by a multiple of primes."""
    if number < len(COLOURS):
        return COLOURS[number]
    return 55 + number * 67 % 200, 55 + number * 131 % 200, 55 + number * 193 % 200


def of_input(x: Tree, size: Sequence[int] | None = None) -> Tensor | None:
    """The first part of an input that is a picture, as (B, C, H, W) with C 1 or 3; None if none is. size: height and
    width that it must have, if any."""
    for leaf in tree.leaves(x):
        found = leaf.unsqueeze(1) if leaf.ndim == 3 else leaf
        if (
            found.ndim == 4
            and min(found.shape[2:]) >= SMALLEST
            and list(size or found.shape[2:]) == list(found.shape[2:])
        ):
            return found if found.shape[1] in (1, 3) else found[:, :1]
    return None


def small(x: Tensor) -> Tensor:
    """x (B, C, H, W) as floats with sides of at most MOST_SIDE, averaged."""
    longest = max(x.shape[2:])
    if longest <= MOST_SIDE:
        return x.float()
    size = [max(1, side * MOST_SIDE // longest) for side in x.shape[2:]]
    return functional.interpolate(x.float(), size=size, mode="area")


def small_mask(y: Tensor) -> Tensor:
    """y (H, W), with sides of at most MOST_SIDE: every so many pixels."""
    every = -(-max(y.shape) // MOST_SIDE)
    return y[::every, ::every]


def of_floats(x: Tensor, like: Tensor | None = None) -> list[Picture]:
    """x (N, C, H, W), scaled from the darkest to the brightest value of all, or of `like`, with sides of at most
    MOST_SIDE."""
    x = small(x).nan_to_num(0.0)
    known = x if like is None else like.nan_to_num(0.0)
    low, high = known.min(), known.max()
    pixels = ((x - low) / (high - low).clamp_min(1e-12) * 255).clamp(0, 255).round().to(torch.uint8)
    return [of_bytes(picture) for picture in pixels.permute(0, 2, 3, 1)]


def of_classes(y: Tensor, ignored: int) -> Picture:
    """y (H, W) class indices, each in its colour."""
    pixels = torch.tensor(IGNORED, dtype=torch.uint8).expand(*y.shape, 3).clone()
    for number in y.unique().tolist():
        if number != ignored and number >= 0:
            pixels[y == number] = torch.tensor(colour(number), dtype=torch.uint8)
    return of_bytes(pixels)


def of_bytes(pixels: Tensor) -> Picture:
    """Pixels (H, W, C) of bytes."""
    height, width, channels = pixels.shape
    return Picture(height, width, channels, pixels.contiguous().numpy().tobytes())


def key(names: Sequence[str], numbers: Sequence[int], *, ignored: bool) -> list[tuple[str, str]]:
    """What the colours mean: (name, '#rrggbb') of these classes, and of pixels that do not count."""
    found = [(names[number], "#{:02x}{:02x}{:02x}".format(*colour(number))) for number in numbers]
    return found + [("ignored", "#{:02x}{:02x}{:02x}".format(*IGNORED))] * ignored
