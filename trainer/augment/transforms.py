"""Transforms of torchvision.transforms.v2, of kornia or of your own, as part of an augmentation.

They draw from the global generators. Each call seeds those by what it is a function of, and puts them back.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainer.augment.mix import Unmixed

Transform = Callable[..., Any]
Seed = Callable[[int, int], int]  # of (epoch, the first row of a batch)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within: the generators of torch, NumPy and Python begin with this seed. Afterwards they are as before."""
    states = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])


def applied(transforms: Sequence[Transform], x: Tensor, white: float = 255.0) -> Tensor:
    """x, a picture (C, H, W) or a batch (B, C, H, W), after some transforms, in its own shape and dtype. They get
    floats from 0 to 1, and bytes as bytes; those of kornia get bytes as floats too, and always a batch. white: the
    pixel of floats that is white. Raises ValueError for what is not a picture of this shape."""
    is_scaled = x.is_floating_point() and white != 1
    result = x / white if is_scaled else x
    for transform in transforms:
        result = _kornias(transform, result) if is_kornias(transform) else transform(result)
    if not isinstance(result, Tensor) or result.shape != x.shape:
        found = f"shape {tuple(result.shape)}" if isinstance(result, Tensor) else type(result).__name__
        raise ValueError(f"made {found} of a picture of shape {tuple(x.shape)}")
    result = result * white if is_scaled else result
    if not x.is_floating_point() and result.is_floating_point():
        result = result.round().clamp(0, 255)
    return result.to(x.dtype)


def is_kornias(transform: Transform) -> bool:
    """Whether kornia made it."""
    return type(transform).__module__.partition(".")[0] == "kornia"


def mixes(transform: Transform) -> bool:
    """Whether a transform mixes the rows of a batch and their labels."""
    names = {kind.__name__ for kind in type(transform).__mro__}
    return bool(names & {"_BaseMixUpCutMix", "MixAugmentationBaseV2"})


def mixing_in(transform: Transform) -> list[Transform]:
    """Those that mix rows: a transform itself, or some that it chooses among or applies, as v2.RandomChoice does."""
    inner = getattr(transform, "transforms", None)
    parts = inner if isinstance(inner, (list, tuple, nn.ModuleList)) else []
    return [transform] if mixes(transform) else [found for part in parts for found in mixing_in(part)]


def _kornias(transform: Transform, x: Tensor) -> Tensor:
    batch = x if x.ndim == 4 else x[None]
    result: Tensor = transform(batch / 255).mul(255) if not x.is_floating_point() else transform(batch)
    return result.reshape(x.shape) if result.numel() == x.numel() else result


class OnBatch:
    """Transforms of whole batches, seeded by their first row. white: see applied."""

    def __init__(self, transforms: Sequence[Transform], seed: Seed, white: float) -> None:
        self.transforms, self.seed, self.white = transforms, seed, white

    def __call__(self, x: Tensor, keys: Tensor) -> Tensor:
        """x: (B, C, H, W); keys: see data/augmented.py."""
        if not len(x) or not self.transforms:
            return x
        with seeded(self.seed(*keys[0, 2:].tolist()), x.device):
            return applied(self.transforms, x, self.white)


class MixOwn(Unmixed):
    """Transforms that mix the rows of a batch, as v2.MixUp does: they take (x, class indices)."""

    is_mix = True

    def __init__(self, transforms: Sequence[Transform], seed: Seed) -> None:
        self.transforms, self.seed = transforms, seed

    def targets(self, y: Tensor, keys: Tensor, size: Sequence[int]) -> Tensor:
        return self(torch.zeros(len(y), 1, *size, device=y.device), y, keys)[1]

    def __call__(self, x: Tensor, y: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        with seeded(self.seed(*keys[0, 2:].tolist()), x.device):
            for transform in self.transforms:
                x, y = transform(x, y)
        return x, y.to(x.dtype)
