"""Batches for a GPU, copied one ahead: on a stream of its own, while the step before computes."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trainer.data import tree
from trainer.data.loaders import Loader
from trainer.data.tree import Tree


class Copied(NamedTuple):
    """A batch on the device, once it has arrived. x, y: for the model and the loss; targets: as the data has them."""

    x: Tree
    y: Tree
    num_rows: int
    targets: Tree
    arrived: Any  # torch.cuda.Event


class Ahead:
    """A loader over another, whose batches are Copied. All else is the other's."""

    def __init__(self, inner: Loader, device: torch.device) -> None:
        self.inner, self.device = inner, device
        self.stream = torch.cuda.Stream(device)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def fetch(self, rows: Sequence[Tensor], epoch: int) -> Iterator[Copied]:
        waiting: Copied | None = None
        for batch in self.inner.fetch(rows, epoch):
            with torch.cuda.stream(self.stream):
                x, y = self.inner.load(batch)
                arrived = self.stream.record_event()
            if waiting is not None:
                yield waiting
            waiting = Copied(x, y, self.inner.count(batch), self.inner.targets(batch), arrived)
        if waiting is not None:
            yield waiting

    def count(self, batch: Copied) -> int:
        return batch.num_rows

    def targets(self, batch: Copied) -> Tree:
        return batch.targets

    def load(self, batch: Copied) -> tuple[Tree, Tree]:
        present = torch.cuda.current_stream(self.device)
        present.wait_event(batch.arrived)
        for leaf in tree.leaves((batch.x, batch.y)):
            leaf.record_stream(present)  # or its memory might hold the next batch while this one is still read
        return batch.x, batch.y


def one_ahead(loader: Loader, device: torch.device) -> Loader:
    """The loader itself for data in memory, and off CUDA."""
    return loader if device.type != "cuda" or loader.knows_targets else Ahead(loader, device)
