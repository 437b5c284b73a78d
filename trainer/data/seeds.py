"""Randomness as a function: a seed for every (seed, purpose, position), so that a resumed run needs no saved state."""

import hashlib

import torch
from torch import Tensor


def derive(seed: int, purpose: str, *position: int) -> int:
    """A 63-bit seed from the run's seed, a purpose and a position. The order of calls does not matter."""
    text = f"{seed}/{purpose}/{'/'.join(map(str, position))}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def permutation(size: int, seed: int) -> Tensor:
    """The numbers 0 to size - 1, int64, in an order that depends on the seed alone."""
    return torch.randperm(size, generator=torch.Generator().manual_seed(seed))
