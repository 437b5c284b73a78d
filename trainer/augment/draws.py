"""Random numbers as a pure function of (key, epoch, row, number), for all rows of a batch at once.

A counter is hashed instead of a generator advanced. Every product fits into int64, so the bits are the same on every
device, inside a compiled graph and outside, and for every batching. The finaliser has the constants that Chris Wellons
and TheIronBorn found by search ("hash prospector", 2018): a bijection of 32 bits with little bias.
"""

import torch
from torch import Tensor

LOW = 0xFFFFFFFF  # 32 bits
GOLDEN = 0x9E3779B9  # 2^32 divided by the golden ratio: multiples of it lie far apart
FIRST, SECOND = 0x21F0AAAD, 0xD35A2D97 - 2**32  # the second as a signed number: its products stay within int64
BITS = 24  # of a number: float32 holds all of them exactly, so that it is the same in float64


def uniform(key: int, epoch: Tensor, rows: Tensor, first: int, count: int) -> Tensor:
    """Numbers (count, B) float32, uniform in [0, 1): those of each row from its draw `first` on. key: 63 bits; epoch,
    rows: (B,) int64."""
    which = torch.arange(first, first + count, device=rows.device)[:, None] * GOLDEN
    state = _hashed(_hashed((rows + (key & LOW)) & LOW) ^ (epoch & LOW))
    return (_hashed((state + (key >> 32) + which) & LOW) >> (32 - BITS)).to(torch.float32) * 2.0**-BITS


def _hashed(state: Tensor) -> Tensor:
    """A permutation of the whole numbers below 2^32."""
    state = ((state ^ (state >> 16)) * FIRST) & LOW
    state = ((state ^ (state >> 15)) * SECOND) & LOW
    return state ^ (state >> 15)


def below(draws: Tensor, count: int) -> Tensor:
    """Whole numbers from 0 to count - 1, int64, of uniform numbers."""
    return (draws * count).long()
