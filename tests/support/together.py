"""Ranks as threads of one process, which meet where they exchange values."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any

import torch
from torch import Tensor

from trainer.processes.ranks import Ranks
from trainer.tasks import named_totals
from trainer.tasks.task import Task
from trainer.tasks.totals import Totals

Batches = Sequence[tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Together(Ranks):
    shared: list[Any] = field(default_factory=list)
    barrier: Barrier = field(default_factory=lambda: Barrier(1))

    def gather(self, value: Any) -> list[Any]:
        self.shared[self.rank] = value
        self.barrier.wait(10)
        values = list(self.shared)
        self.barrier.wait(10)
        return values

    def tell(self, value: Any) -> Any:
        return self.gather(value)[0]


def measured(make: Any, names: Sequence[str], batches: Batches, size: int = 1) -> list[dict[str, float]]:
    """What each rank measures of batches that they take in turn; some may get none. make(): the task of a rank."""
    all_totals = [_added(make(), names, batches[rank::size]) for rank in range(size)]
    shared, barrier = [None] * size, Barrier(size)
    ranks = [Together(rank, size, shared=shared, barrier=barrier) for rank in range(size)]
    with ThreadPoolExecutor(size) as pool:
        list(pool.map(lambda totals, rank: totals.add_ranks(rank), all_totals, ranks))
    return [totals.reduce("val") for totals in all_totals]


def _added(task: Task, names: Sequence[str], batches: Batches) -> Totals:
    totals = named_totals.begin(task, names)
    for prediction, y in batches:
        totals.add_loss(torch.tensor(1.0), torch.tensor(float(len(y)), dtype=torch.float64))
        totals.add(prediction, y)
    return totals
