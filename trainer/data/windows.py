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
from trainer.data.labels import Denominator
from trainer.data.loaders import Loader
from trainer.processes.ranks import Ranks
from trainer.processes.signals import abandonable

Batch = tuple[Tensor, Tensor, Tensor, Callable[[], AbstractContextManager[Any]]]


class Window:
    """What one step sees: iterate for (x, y, share, sync).

    share: 0-dim, on the device: this batch's part of the window's loss; the shares of a window add up to 1 (to the
    number of batches for a loss that sums), or over several ranks to their number, see `Ranks.weigh`. sync: a context
    for forward and backward; it holds back the exchange of gradients between ranks on all batches but the last.
    num_samples: of all ranks. is_shared: whether some share is not 1.
    """

    def __init__(
        self,
        loader: Loader,
        parts: Sequence[Any],
        shares: Sequence[Tensor],
        num_samples: int,
        is_shared: bool,
        hold_back: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self.loader, self.parts, self.shares = loader, parts, shares
        self.num_samples, self.is_shared, self.hold_back = num_samples, is_shared, hold_back

    def __iter__(self) -> Iterator[Batch]:
        last = len(self.parts) - 1
        for number, (part, share) in enumerate(zip(self.parts, self.shares, strict=True)):
            x, y = self.loader.load(part)
            yield x, y, share, nullcontext if number == last else self.hold_back


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
    ranks: Ranks = field(default_factory=Ranks)  # each takes its part of every batch
    hold_back: Callable[[], AbstractContextManager[Any]] = nullcontext  # see Window's sync
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
        whole = self.loader.at_hand or self.ranks.size == 1
        own = batches if whole else [self.ranks.part(batch) for batch in batches]
        parts = iter(self.loader.parts(own, epoch))
        self.waited += time.perf_counter() - begun
        for start in range(0, len(batches), self.accumulate):
            group = batches[start : start + self.accumulate]
            begun = time.perf_counter()
            with abandonable:  # a slow disk must not hold up a wish to stop
                found: Sequence[Any] = [next(parts) for _ in group]
            self.waited += time.perf_counter() - begun
            if self.ranks.size == 1:
                shares = self.shares(found)
            else:
                found, shares = self.shared_out(found)
            yield Window(self.loader, found, shares, sum(map(len, group)), self.is_shared, self.hold_back)

    @property
    def is_shared(self) -> bool:
        """Whether a step is made of several batches, one after another or on several ranks."""
        return self.accumulate > 1 or self.ranks.size > 1

    def shares(self, parts: Sequence[Any]) -> Sequence[Tensor]:
        """Each batch's denominator over the window's; exactly 1 for a single batch."""
        if len(parts) == 1 or self.sums:
            return [self.one] * len(parts)
        counts = self.counts(parts)
        return list((counts / counts.sum()).to(self.one.dtype))

    def shared_out(self, parts: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Tensor]]:
        """This rank's parts of a window's batches, and the share of each: its denominator over that of all ranks."""
        whole = None
        if self.loader.at_hand:
            whole = None if self.sums else self.counts(parts).sum()
            parts = [self.ranks.part(part) for part in parts]
        if self.sums:
            return parts, [self.one * self.ranks.size] * len(parts)
        return parts, list(self.ranks.weigh(self.counts(parts), whole).to(self.one.dtype))

    def counts(self, parts: Sequence[Any]) -> Tensor:
        """The denominator of each batch, 1-dim."""
        return torch.stack([self.denominator(self.loader.targets(part)) for part in parts])


@dataclass
class EvalBatches:
    """A split in its own order, for evaluation; every `stride`-th batch of it from number `first` on."""

    loader: Loader
    num_rows: int
    batch_size: int
    first: int = 0
    stride: int = 1

    def dealt(self, ranks: Ranks) -> "EvalBatches":
        """The batches that this rank evaluates: whole ones in turn, so that their sums are those of one process."""
        return replace(self, first=ranks.rank, stride=ranks.size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        batches = torch.arange(self.num_rows).split(self.batch_size)[self.first :: self.stride]
        parts = iter(self.loader.parts(batches, 0))
        for _ in batches:
            with abandonable:
                batch = self.loader.load(next(parts))
            yield batch
