"""What is found by reading every row once: how often each label occurs, and the largest whole numbers of the inputs."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from trainer.data import labels, tree
from trainer.data.facts import is_index
from trainer.data.tree import Tree


def scan(
    rows: Iterable[tuple[Tree, Tree]], name: str, ignored: int, *, with_labels: bool
) -> tuple[Tensor, Sequence[int | None]]:
    """(How often each label from 0 on occurs, int64, if with_labels; the largest number in each tensor of the inputs,
    None where it holds no whole numbers). rows: batches (x, y); name: of the data, for messages; ignored: the label
    that is left out. Raises ConfigError for labels that cannot be classes."""
    counts, largest = torch.zeros(0, dtype=torch.int64), list[int | None]()
    first = 0
    for x, y in rows:
        if with_labels:
            more = labels.tally(y, ignored, name, first)
            first += len(y)
            shorter, counts = sorted((counts, more), key=len)
            counts[: len(shorter)] += shorter
        here = [int(leaf.max()) if is_index(leaf) and leaf.numel() else None for leaf in tree.leaves(x)]
        known = largest or [None] * len(here)
        largest = [max((n for n in pair if n is not None), default=None) for pair in zip(known, here, strict=True)]
    return counts, largest
