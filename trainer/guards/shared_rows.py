"""Rows that training and validation share: the validation metrics then measure memory, not understanding."""

import hashlib
from collections.abc import Iterator

import torch

from trainer.data.splits import Split, Splits
from trainer.guards.finding import Finding

ROWS_AT_ONCE = 1024
FEW = 0.01  # up to this share of the validation rows, duplicates are natural; iris has some
REPEATED = 0.5  # times that share: duplicates within the training rows, as in data with few values


def shared_rows(splits: Splits) -> list[Finding]:
    """Inputs that are in both splits, equal in every bit. Reads all rows once."""
    if splits.val is None:
        return []
    train = list(digests(splits.train))
    known = set(train)
    val = list(digests(splits.val))
    shared = [row for row, digest in enumerate(val) if digest in known]
    if not shared:
        return []
    share, repeats = len(shared) / len(val), 1 - len(known) / len(train)
    what = f"{len(shared):,} of {len(val):,} validation rows ({share:.1%}) are in training too, such as row {shared[0]}"
    if len(shared) < 3 or share <= FEW or repeats >= REPEATED * share:
        why = f"the data has equal rows: {repeats:.1%} of the training rows repeat another one"
        return [Finding("shared rows", "dataset", what, why, "drop duplicates, unless they are intended", note=True)]
    why = "val/loss and val/acc look better than they are"
    return [Finding("shared rows", "dataset", what, why, "drop duplicates, or split by groups of related rows")]


def digests(split: Split) -> Iterator[bytes]:
    """Digests of the inputs, in the order of the split."""
    for batch in split.loader.fetch(torch.arange(split.num_rows).split(ROWS_AT_ONCE), 0):
        x, _ = split.loader.load(batch)
        rows = x.detach().cpu().reshape(len(x), -1).contiguous().view(torch.uint8).numpy()
        yield from (hashlib.blake2b(row, digest_size=16).digest() for row in rows)
