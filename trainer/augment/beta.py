"""Numbers of the distribution Beta(a, a), from uniform ones: one each, so that they stay a function of the row."""

import torch
from torch import Tensor

FINE, COARSE = 2**16, 2**12  # points of the integral, and of the table


def quantiles(a: float) -> Tensor:
    """The quantiles of Beta(a, a) at 0, 1/COARSE, …, 1, float32; between them they are interpolated.

    With t = x^a the density x^(a-1) (1-x)^(a-1) dx becomes (1 - t^(1/a))^(a-1) dt / a, which has no pole up to x = 1/2;
    the other half is its mirror image.
    """
    t = torch.linspace(0, 0.5**a, FINE + 1, dtype=torch.float64)
    density = (1 - t ** (1 / a)) ** (a - 1)
    share = torch.cat([t.new_zeros(1), (density[1:] + density[:-1]).cumsum(0)])
    share = share / share[-1] / 2
    wanted = torch.linspace(0, 0.5, COARSE // 2 + 1, dtype=torch.float64)
    after = torch.searchsorted(share, wanted).clamp(1, FINE)
    before = after - 1
    part = (wanted - share[before]) / (share[after] - share[before])
    lower = (t[before] + part * (t[after] - t[before])) ** (1 / a)
    return torch.cat([lower, 1 - lower[:-1].flip(0)]).to(torch.float32)


def drawn(table: Tensor, draws: Tensor) -> Tensor:
    """Numbers (B,) of the distribution with these quantiles, from uniform numbers (B,)."""
    place = draws * COARSE
    before = place.long()
    return torch.lerp(table[before], table[before + 1], place - before)
