"""Mixup and cutmix: each row is mixed with the next one of its batch, by a share of its own.

Sources: Zhang et al., mixup: Beyond Empirical Risk Minimization, 2018; Yun et al., CutMix, 2019. Both draw one share
for a batch; here each row has its own, a function of (seed, epoch, row), so that ranks and resumes agree.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from trainer.augment import beta, draws

FIRST = 64  # of a row's draws: its share, and the middle of its box; then the turn of a batch. See operations.py


def blended(x: Tensor, other: Tensor, share: Tensor) -> Tensor:
    """share · x + (1 - share) · other. x, other: (B, …); share: (B,)."""
    share = share.to(x.dtype).reshape(-1, *[1] * (x.ndim - 1))
    return x * share + other * (1 - share)


def box(share: Tensor, row: Tensor, column: Tensor, size: Sequence[int]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The (top, bottom, left, right), each (B,) int64, of a box around a pixel (row, column) that takes 1 - share of a
    picture of size (H, W), but for what of it is outside."""
    half = 0.5 * (1 - share).sqrt()
    edges = []
    for middle, side in ((row, size[0]), (column, size[1])):
        reach = (half * side).long()
        edges += [(middle - reach).clamp_min(0), (middle + reach).clamp_max(side)]
    top, bottom, left, right = edges
    return top, bottom, left, right


def pasted(x: Tensor, other: Tensor, edges: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """(x with the boxes of `other` in it, the share of x that is left). x, other: (B, C, H, W); edges: see box."""
    top, bottom, left, right = edges
    height, width = (torch.arange(size, device=x.device) for size in x.shape[2:])
    rows = (height >= top[:, None]) & (height < bottom[:, None])
    columns = (width >= left[:, None]) & (width < right[:, None])
    inside = (rows[:, :, None] & columns[:, None, :])[:, None]
    area = (bottom - top) * (right - left)
    return torch.where(inside, other, x), 1 - area / (x.shape[2] * x.shape[3])


class Unmixed:
    """Rows stay as they are."""

    is_mix = False

    def rows(self, keys: Tensor) -> Tensor:
        """The rows that a batch needs. keys: see data/augmented.py."""
        return keys[:, 0]

    def closed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """A whole batch with what a mix needs behind it."""
        return x, y

    def targets(self, y: Tensor, keys: Tensor, size: Sequence[int]) -> Tensor:
        """The targets of a batch. size: of a picture, (H, W)."""
        return y

    def __call__(self, x: Tensor, y: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        """(x, y) of a batch."""
        return x, y


class Mix(Unmixed):
    """Mixup, cutmix, or both in turns: half of the batches each.

    A batch comes with one row more, the partner of its last: x (B + 1, C, H, W), y (B + 1,) class indices. Targets
    become shares (B, classes). A row whose class or whose partner's is `ignored` stays as it is; one that is ignored
    itself has shares of 0. mixup, cutmix: a of Beta(a, a), or 0; dtype: of the shares.
    """

    is_mix = True

    def __init__(
        self,
        key: int,
        mixup: float,
        cutmix: float,
        classes: int,
        ignored: int,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.key, self.classes, self.ignored, self.dtype = key, classes, ignored, dtype
        self.blends = beta.quantiles(mixup).to(device) if mixup else None
        self.boxes = beta.quantiles(cutmix).to(device) if cutmix else None

    def rows(self, keys: Tensor) -> Tensor:
        return torch.cat([keys[:, 0], keys[-1:, 1]])

    def closed(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        return torch.cat([x, x[:1]]), torch.cat([y, y[:1]])

    def targets(self, y: Tensor, keys: Tensor, size: Sequence[int]) -> Tensor:
        share, edges, is_box = self._drawn(keys, size)
        area = (edges[1] - edges[0]) * (edges[3] - edges[2])
        left = 1 - area / (size[0] * size[1])
        return self._shares(y, torch.where(is_box, left, share))

    def __call__(self, x: Tensor, y: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
        share, edges, is_box = self._drawn(keys, x.shape[2:])
        kept, other, stays = x[:-1], x[1:], ~self._mixable(y)[:, None, None, None]
        found = kept
        if self.blends is not None:
            found = blended(kept, other, share)
        if self.boxes is not None:
            found = torch.where(is_box[:, None, None, None], pasted(kept, other, edges)[0], found)
        return torch.where(stays, kept, found), self.targets(y, keys, x.shape[2:])

    def _drawn(self, keys: Tensor, size: Sequence[int]) -> tuple[Tensor, tuple[Tensor, ...], Tensor]:
        """(The share of mixup, the box of cutmix, which of both it is), for each row."""
        share, row, column = draws.uniform(self.key, keys[:, 2], keys[:, 0], FIRST, 3)
        turn = draws.uniform(self.key, keys[:, 2], keys[:, 3], FIRST + 3, 1)[0]
        blend = torch.ones_like(share) if self.blends is None else beta.drawn(self.blends, share)
        place = torch.ones_like(share) if self.boxes is None else beta.drawn(self.boxes, share)
        edges = box(place, draws.below(row, size[0]), draws.below(column, size[1]), size)
        is_box = (turn < 0.5) if self.blends is not None else torch.ones_like(turn, dtype=torch.bool)
        return blend, edges, is_box if self.boxes is not None else torch.zeros_like(turn, dtype=torch.bool)

    def _mixable(self, y: Tensor) -> Tensor:
        counted = y != self.ignored
        return counted[:-1] & counted[1:]

    def _shares(self, y: Tensor, share: Tensor) -> Tensor:
        """Targets (B, classes) of class indices (B + 1,)."""
        counted = (y != self.ignored)[:, None]
        whole = functional.one_hot(torch.where(counted[:, 0], y, 0), self.classes).to(self.dtype) * counted
        share = torch.where(self._mixable(y), share, 1.0)
        return blended(whole[:-1], whole[1:], share)
