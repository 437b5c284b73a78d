"""The order of samples, and windows: the batches of one optimizer step, each with its share of the loss."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer import seeds
from trainer.data.loaders import Loader
from trainer.losses import Denominator
from trainer.signals import abandonable

Batch = tuple[Tensor, Tensor, Tensor, Callable[[], AbstractContextManager[Any]]]


class Window:
    """What one step sees: iterate for (x, y, share, sync).

    share: 0-dim, on the device: this batch's part of the window's loss; the shares of a window add up to 1 (to the
    number of batches for a loss that sums). sync: a context for forward and backward; it holds back the exchange of
    gradients between processes on all batches but the last.
    """

    def __init__(self, loader: Loader, parts: Sequence[Any], shares: Sequence[Tensor], num_samples: int) -> None:
        self.loader, self.parts, self.shares = loader, parts, shares
        self.num_samples = num_samples

    def __iter__(self) -> Iterator[Batch]:
        for part, share in zip(self.parts, self.shares, strict=True):
            x, y = self.loader.load(part)
            yield x, y, share, nullcontext


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
    sums: bool  # whether the loss sums, so that no share is needed
    one: Tensor  # 0-dim 1.0 on the device, in the loss's dtype
    waited: float = 0.0  # seconds that the loop has waited for batches so far

    @property
    def num_batches(self) -> int:
        """Batches an epoch: ⌈N/B⌉, or ⌊N/B⌋ with drop_last."""
        return (math.floor if self.drop_last else math.ceil)(self.num_rows / self.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps an epoch: one for every `accumulate` batches, and one for what is left."""
        return math.ceil(self.num_batches / self.accumulate)

    def order(self, epoch: int) -> Any:
        """Row indices of an epoch, int64 on the CPU; a loader may have an order of its own, see row_groups.Order."""
        if hasattr(self.loader, "order"):
            return self.loader.order(self.seed, epoch, shuffle=self.shuffle)
        if not self.shuffle:
            return torch.arange(self.num_rows)
        generator = torch.Generator().manual_seed(seeds.derive(self.seed, "order", epoch))
        return torch.randperm(self.num_rows, generator=generator)

    def windows(self, epoch: int, first: int = 0) -> Iterator[Window]:
        """The windows of an epoch from number `first` on."""
        begun = time.perf_counter()
        batches = self.order(epoch).split(self.batch_size)[: self.num_batches][first * self.accumulate :]
        parts = iter(self.loader.parts(batches, epoch))
        self.waited += time.perf_counter() - begun
        for start in range(0, len(batches), self.accumulate):
            group = batches[start : start + self.accumulate]
            begun = time.perf_counter()
            with abandonable:  # a slow disk must not hold up a wish to stop
                own = [next(parts) for _ in group]
            self.waited += time.perf_counter() - begun
            yield Window(self.loader, own, self.shares(own), sum(map(len, group)))

    def shares(self, parts: Sequence[Any]) -> Sequence[Tensor]:
        """Each batch's denominator over the window's; exactly 1 for a single batch."""
        if len(parts) == 1 or self.sums:
            return [self.one] * len(parts)
        counts = torch.stack([self.denominator(self.loader.targets(part)) for part in parts])
        return list((counts / counts.sum()).to(self.one.dtype))


@dataclass
class EvalBatches:
    """A split in its own order, for evaluation."""

    loader: Loader
    num_rows: int
    batch_size: int

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        parts = iter(self.loader.parts(torch.arange(self.num_rows).split(self.batch_size), 0))
        for _ in range(math.ceil(self.num_rows / self.batch_size)):
            with abandonable:
                batch = self.loader.load(next(parts))
            yield batch
