"""The loaders of augmented training pictures, behind the contract of loaders.py.

A batch comes with a tensor of keys (B, 4) int64, of which everything random in it is a function: the number of each
row, that of the row it is mixed with, the epoch, and the first row of the whole batch. The partner is the next row of
the whole batch of all ranks; that of the last is the first.

        rows of an epoch -> keys -> raw pictures -> transforms of a batch -> operations -> scaling -> mix -> (x, y)
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from trainer.augment.mix import Unmixed
from trainer.augment.operations import Operations
from trainer.augment.transforms import MixOwn, OnBatch
from trainer.data.kept_pictures import KeptPictures
from trainer.data.loaders import InMemory, send
from trainer.data.tree import Tree
from trainer.data.workers import Batch, Workers


@dataclass(frozen=True)
class Steps:
    """What a batch of raw pictures goes through. scale: from raw pictures to the model's input."""

    on_batch: OnBatch
    operations: Operations
    scale: Callable[[Tensor], Tensor]
    mix: Unmixed

    @property
    def are_none(self) -> bool:
        """Whether they change nothing."""
        return not (self.on_batch.transforms or self.operations.operations or self.mix.is_mix)

    @property
    def draw(self) -> bool:
        """Whether any draw from a generator."""
        return bool(self.on_batch.transforms) or isinstance(self.mix, MixOwn)

    def pictures(self, x: Tensor, rows: Tensor, keys: Tensor) -> Tensor:
        """Raw pictures (B, C, H, W) of these rows (B,), augmented and scaled. keys: of their batch."""
        epoch = keys[:1, 2].expand(len(rows))
        return self.scale(self.operations(self.on_batch(x, keys), rows, epoch))


class AugmentedInMemory:
    """Rows in memory; a fetched batch is its keys, which ranks take their part of.

    x: all raw pictures on the device; inner: the loader of the same rows as they are.
    """

    knows_targets = True

    def __init__(self, x: Tensor, inner: InMemory, steps: Steps) -> None:
        self.x, self.y, self.inner, self.steps = x, inner.y, inner, steps
        self.name, self.draws = inner.name, steps.draw

    def unaugmented(self) -> InMemory:
        """The loader of the same rows as they are."""
        return self.inner

    def fetch(self, rows: Sequence[Tensor], epoch: int) -> Iterable[Tensor]:
        keys = keyed(rows, epoch, self.x.device)
        if not isinstance(self.inner, KeptPictures):
            return keys
        return (batch for _, batch in zip(self.inner.fetch(rows, epoch), keys, strict=True))  # decodes what it lacks

    def count(self, batch: Tensor) -> int:
        return len(batch)

    def targets(self, batch: Tensor) -> Tree:
        """Those of a fetched batch; or of rows (B,), as the data has them."""
        mix = self.steps.mix
        if batch.ndim == 1:
            return self.inner.targets(batch)
        return mix.targets(self.inner.targets(mix.rows(batch)), batch, self.x.shape[2:])

    def load(self, batch: Tensor) -> tuple[Tree, Tree]:
        mix = self.steps.mix
        rows = mix.rows(batch)
        x = self.steps.pictures(self.x.index_select(0, rows), rows, batch)
        x, y = self.inner.paired(x, self.inner.targets(rows))
        return mix(x, y, batch)


class Keyed(NamedTuple):
    """A fetched batch with its keys."""

    batch: Batch
    keys: Tensor


class AugmentedBatches:
    """The same over a DataLoader, once a batch is on the device; a fetched batch is Keyed."""

    knows_targets = False

    def __init__(self, inner: Workers, steps: Steps) -> None:
        self.inner, self.steps, self.name = inner, steps, inner.name

    def unaugmented(self) -> Workers:
        """A loader of the same rows as they are."""
        return self.inner.unaugmented()

    def fetch(self, rows: Sequence[Tensor], epoch: int) -> Iterable[Keyed]:
        keys = keyed(rows, epoch, self.inner.device)
        return map(Keyed, self.inner.fetch(rows, epoch), keys)

    def count(self, batch: Keyed) -> int:
        return self.inner.count(batch.batch)

    def targets(self, batch: Keyed) -> Tree:
        mix, (x, y, _), keys = self.steps.mix, batch.batch, batch.keys.cpu()
        return mix.targets(mix.closed(x, y)[1], keys, x.shape[2:])

    def load(self, batch: Keyed) -> tuple[Tree, Tree]:
        (x, y, _), keys = batch
        x = self.steps.pictures(self.inner.placed(x), keys[:, 0], keys)
        x, y = self.inner.paired(x, y)
        return self.steps.mix(*self.steps.mix.closed(x, y), keys)


def keyed(rows: Sequence[Tensor], epoch: int, device: torch.device) -> Sequence[Tensor]:
    """The keys of each batch of an epoch, some of which may be empty; one copy to the device for all."""
    if not rows:
        return []
    order, sizes = torch.cat(list(rows)), torch.tensor([len(batch) for batch in rows])
    ends = sizes.cumsum(0)[sizes > 0]
    firsts = order[ends - sizes[sizes > 0]]
    partners = order.roll(-1)
    partners[ends - 1] = firsts
    columns = [order, partners, torch.full_like(order, epoch), firsts.repeat_interleave(sizes[sizes > 0])]
    keys: Sequence[Tensor] = send(torch.stack(columns, 1), device).split(sizes.tolist())
    return keys
