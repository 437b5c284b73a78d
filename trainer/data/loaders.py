"""The contract of loaders, and those that keep their rows as tensors on the device. Two more are in workers.py and
tabular/row_groups.py.

`fetch(rows, epoch)` takes the row indices of each batch and yields the batches in a form that suits the loader;
`count(batch)` returns the number of rows of one, `targets(batch)` its targets, and `load(batch)` its (x, y) on the
device, ready for the model, each a tree. All loaders give the same (x, y) for the same rows.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from trainer.data import tree
from trainer.data.scaling import Scale, scaled
from trainer.data.tabular.one_hot import OneHot
from trainer.data.tree import Tree

PREPARED_AT_ONCE = 256 * 2**20  # bytes up to which all rows are scaled at once


class Loader(Protocol):
    """See the module. name: for the header. knows_targets: whether every rank has the targets of all rows in memory,
    so that ranks need not exchange counts; a fetched batch is then a tensor of row indices."""

    name: str
    knows_targets: bool

    def fetch(self, rows: Sequence[Tensor], epoch: int) -> Iterable[Any]: ...
    def count(self, batch: Any) -> int: ...
    def targets(self, batch: Any) -> Tree: ...
    def load(self, batch: Any) -> tuple[Tree, Tree]: ...


def place(tensor: Tensor, device: torch.device, dtype: torch.dtype | None) -> Tensor:
    """Copy a tensor to the device. Floats are cast to `dtype` before the copy, since MPS does not support float64."""
    return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None, non_blocking=True)


def send(tensor: Tensor, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
    """`place` for a batch: a GPU copies it later, from pinned memory, and nobody waits for that."""
    if device.type == "cuda" and tensor.is_cpu:
        tensor = place(tensor, tensor.device, dtype).pin_memory()
    return place(tensor, device, dtype)


class InMemory:
    """All rows as tensors on the device; a fetched batch is a tensor of row indices.

    x, y: of the data, on the CPU; y None where the input is the target. Large data of bytes stays bytes, and is scaled
    batch by batch.
    """

    name, knows_targets = "in memory", True
    target_shape: tuple[int, ...] | None = None  # of an input that is its own target

    def __init__(
        self, x: Tensor, y: Tensor | None, scale_x: Scale | OneHot, scale_y: Scale | None, device: torch.device
    ) -> None:
        self.scale_x = scale_x.on(device, scale_x.dtype)
        growth = scale_x.growth  # one-hot categories take more memory than their indices
        self.at_once = (x.is_floating_point() and growth <= 1.5) or 4 * growth * x.numel() <= PREPARED_AT_ONCE
        if scale_x.waits(x):
            self.x = place(x, device, scale_x.dtype)
            self.x = self.scale_x(self.x) if self.at_once else self.x
        else:
            self.x, self.at_once = place(scaled(x, scale_x), device, scale_x.dtype), True
        self.is_same = y is None
        self.y = self.x if y is None else place(y if scale_y is None else scale_y(y), device, scale_x.dtype)
        self.device = device

    def fetch(self, rows: Sequence[Tensor], epoch: int) -> Iterable[Tensor]:
        if self.device.type == "cpu" or not rows:
            return rows
        order = send(torch.cat(list(rows)), self.device)  # one copy per epoch, not one per batch
        return order.split([len(batch) for batch in rows])  # type: ignore[no-any-return]

    def count(self, batch: Tensor) -> int:
        return len(batch)

    def targets(self, batch: Tensor) -> Tree:
        return self.y.index_select(0, batch)

    def load(self, batch: Tensor) -> tuple[Tree, Tree]:
        x = self.x.index_select(0, batch)
        x = x if self.at_once else self.scale_x(x)
        return x, self._same(x) if self.is_same else self.targets(batch)

    def keep_raw(self, x: Tensor) -> None:
        """Keep the rows x, which are those of the data, as they are, and scale them batch by batch."""
        if self.at_once:
            self.x, self.at_once = place(x, self.device, self.scale_x.dtype), False

    def paired(self, x: Tree, y: Tree) -> tuple[Tree, Tree]:
        """(x, y) of a batch for a model and its loss. x: ready for the model; y: the targets of the batch."""
        return x, self._same(x) if self.is_same else y

    def _same(self, x: Tensor) -> Tensor:
        """The target of an input that is its own."""
        return x if self.target_shape is None else x.reshape(len(x), *self.target_shape)


class TreesInMemory(InMemory):
    """The same where the input or the target is a tree; all rows are scaled at once. y may be None: no target."""

    argument: str | None = None  # of the model that gets the target too

    def __init__(self, x: Tree, y: Tree, scale_x: Scale, scale_y: Scale | None, device: torch.device) -> None:
        dtype = scale_x.dtype
        x = scaled(x, scale_x) if isinstance(x, Tensor) else scale_x(x)
        self.x = tree.mapped(lambda leaf: place(leaf, device, dtype), x)
        y = y if scale_y is None else scale_y(y)
        self.y = tree.mapped(lambda leaf: place(leaf, device, dtype), y)
        self.device = device

    def targets(self, batch: Tensor) -> Tree:
        return tree.mapped(lambda leaf: leaf.index_select(0, batch), self.y)

    def load(self, batch: Tensor) -> tuple[Tree, Tree]:
        x, y = tree.mapped(lambda leaf: leaf.index_select(0, batch), self.x), self.targets(batch)
        return (x if self.argument is None else {**x, self.argument: y}), y
