"""Collects what a task shows, batch by batch."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from trainer.data.tree import Tree
from trainer.disk.figures import Figure


@dataclass(frozen=True)
class Source:
    """Where the rows come from. rows: the number in the data of each row of the split; raw: from an input (B, …) as the
    model sees it to that of the data; shift: the first position of a sequence that has a prediction."""

    rows: Sequence[int] | Tensor
    raw: Callable[[Tree], Tree] = lambda x: x
    shift: int = 0


class Drawing(Protocol):
    """Add every batch of a split, in order, then take the figures."""

    def add(self, x: Tree, prediction: Tree, y: Tree) -> None:
        """Add a batch, as the model and the loss see it; prediction: the output that the task is about."""

    def figures(self) -> list[Figure]:
        """The figures of all batches."""
