"""The order of samples, and windows: the batches of one optimizer step, each with its share of the loss."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from trainer.data import seeds
from trainer.data.balanced import balanced_order
from trainer.data.labels import Denominator
from trainer.data.loaders import Loader
from trainer.data.splits import Split
from trainer.data.tree import Tree
from trainer.processes.ranks import Ranks
from trainer.processes.signals import abandonable

Sync = Callable[[], AbstractContextManager[Any]]


@dataclass
class Window:
    """The batches of one step; iterate for (x, y, num_rows, share, sync), with x and y ready for the model.

    num_rows: those of this rank's part of the batch. batches: this rank's, as the loader fetched them. shares: what to
    multiply each batch's loss by, 0-dim on the device; None where there is nothing to weigh, see TrainBatches.
    num_samples: over all ranks; weight: what the loss counts in them, or num_samples where that is the same; None for a
    loss that sums. no_sync: DDP's context without an exchange of gradients. sync: the context for a batch's forward and
    backward: no_sync for all batches but the last. following: the windows that a step may take in the same call, see
    TrainState.windows.
    """

    loader: Loader
    batches: Sequence[Any]
    shares: Sequence[Tensor | None]
    num_samples: int
    weight: int | Tensor | None
    no_sync: Sync
    following: Sequence["Window"] = ()

    def __iter__(self) -> Iterator[tuple[Tree, Tree, int, Tensor | None, Sync]]:
        last = len(self.batches) - 1
        for number, (batch, share) in enumerate(zip(self.batches, self.shares, strict=True)):
            x, y = self.loader.load(batch)
            yield x, y, self.loader.count(batch), share, nullcontext if number == last else self.no_sync


def epoch_order(loader: Loader, num_rows: int, seed: int, epoch: int, *, shuffle: bool) -> Any:
    """Row indices of an epoch, int64 on the CPU; a loader may bring its own order, see row_groups.Order."""
    if hasattr(loader, "order"):
        return loader.order(seed, epoch, shuffle=shuffle)
    return seeds.permutation(num_rows, seeds.derive(seed, "order", epoch)) if shuffle else torch.arange(num_rows)


@dataclass
class TrainBatches:
    """The training split as windows of batches, in an order that is a function of (seed, epoch)."""

    loader: Loader
    num_rows: int
    batch_size: int
    accumulate: int
    shuffle: bool
    drop_last: bool
    seed: int
    denominator: Denominator
    sums: bool  # whether the loss sums, so that batches of any size weigh the same
    one: Tensor  # 0-dim 1.0 on the device, in the loss's dtype
    ranks: Ranks = field(default_factory=Ranks)  # each takes its part of every batch
    labels: Tensor | None = None  # (N,) int64, where each class is drawn as often as the others
    even: bool = True  # whether the loss counts as much in every row
    no_sync: Sync = nullcontext  # see Window
    waited: float = 0.0  # seconds that the loop has waited for batches so far

    @property
    def num_batches(self) -> int:
        """Batches per epoch: ⌈N/B⌉, or ⌊N/B⌋ with drop_last."""
        return (math.floor if self.drop_last else math.ceil)(self.num_rows / self.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps per epoch: one for every `accumulate` batches, and one for the rest."""
        return math.ceil(self.num_batches / self.accumulate)

    @property
    def window_size(self) -> int:
        """Samples of a full window: those of the first in each epoch."""
        return min(self.batch_size * min(self.accumulate, self.num_batches), self.num_rows)

    def order(self, epoch: int) -> Any:
        """Row indices of an epoch, see epoch_order."""
        if self.labels is not None:
            return balanced_order(self.labels, seeds.derive(self.seed, "balanced", epoch))
        return epoch_order(self.loader, self.num_rows, self.seed, epoch, shuffle=self.shuffle)

    def windows(self, epoch: int, first: int = 0) -> Iterator[Window]:
        """The windows of an epoch, starting with number `first`."""
        begun = time.perf_counter()
        rows = self.order(epoch).split(self.batch_size)[: self.num_batches][first * self.accumulate :]
        by_rank = self.ranks.size > 1 and not self.loader.knows_targets
        fetched = iter(self.loader.fetch([self.ranks.part(batch) for batch in rows] if by_rank else rows, epoch))
        self.waited += time.perf_counter() - begun
        for start in range(0, len(rows), self.accumulate):
            group = rows[start : start + self.accumulate]
            begun = time.perf_counter()
            with abandonable:  # a slow disk must not delay a stop
                batches = [next(fetched) for _ in group]
            self.waited += time.perf_counter() - begun
            yield self._window(batches, sum(map(len, group)))

    def _window(self, batches: Sequence[Any], num_samples: int) -> Window:
        total = None
        if self.ranks.size > 1 and self.loader.knows_targets:
            total = None if self.sums else self.counts(batches).sum()
            batches = [self.ranks.part(batch) for batch in batches]
        shares, total = self._shares(batches, total)
        weight = None if self.sums else num_samples if self.even else total
        return Window(self.loader, batches, shares, num_samples, weight, self.no_sync)

    def _shares(self, batches: Sequence[Any], total: Tensor | None) -> tuple[Sequence[Tensor | None], Tensor | None]:
        """Each batch's denominator over the window's, times the number of ranks, since DDP averages their gradients
        instead of adding them; 0 where nothing counts; None where it is 1 for every batch. And the denominator of the
        window over all ranks, if it is known. total: that, if it is known before."""
        size = self.ranks.size
        if self.sums:
            return [None if size == 1 else self.one * size] * len(batches), None
        if self.even and size == 1 and len(batches) == 1:
            return [None], None
        counts = self.counts(batches)
        total = self.ranks.add(counts.sum()) if total is None else total
        return list((counts / total.where(total != 0, 1.0) * size).to(self.one.dtype)), total

    def counts(self, batches: Sequence[Any]) -> Tensor:
        """The denominator of each batch, 1-dim."""
        loader = self.loader
        return torch.stack([self.denominator(loader.targets(batch), loader.count(batch)) for batch in batches])


@dataclass
class EvalBatches:
    """A split in its own order, for evaluation: every `stride`-th batch, starting with number `first`. places: of the
    rows in the split, int64, where it is not all of them."""

    loader: Loader
    num_rows: int
    batch_size: int
    first: int = 0
    stride: int = 1
    places: Tensor | None = None

    @classmethod
    def of(cls, split: Split | None, batch_size: int) -> "EvalBatches | None":
        """The batches of a split; None without one."""
        return cls(split.loader, split.num_rows, batch_size) if split is not None else None

    def for_rank(self, ranks: Ranks) -> "EvalBatches":
        """The batches that this rank evaluates: complete ones in turn, so that their sums are those of one process."""
        return replace(self, first=ranks.rank, stride=ranks.size)

    def __iter__(self) -> Iterator[tuple[Tree, Tree, int]]:
        places = torch.arange(self.num_rows) if self.places is None else self.places
        rows = places.split(self.batch_size)[self.first :: self.stride]
        fetched = iter(self.loader.fetch(rows, 0))
        for _ in rows:
            with abandonable:
                batch = next(fetched)
                x, y = self.loader.load(batch)
            yield x, y, self.loader.count(batch)
