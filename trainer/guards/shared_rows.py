"""Rows that training and validation share: what was learned by heart is then taken for what is understood."""

import hashlib
from collections.abc import Iterator

import torch

from trainer.data.loaders import Loader
from trainer.data.splits import Splits
from trainer.guards.finding import Finding

ROWS_AT_ONCE = 1024
FEW = 0.01  # share of the validation rows up to which twins are the data's own; iris has some
REPEATED = 0.5  # times that share among the training rows themselves: data of few values repeats everywhere


def shared_rows(splits: Splits) -> list[Finding]:
    """Inputs that stand in both splits, equal in every bit. Reads all rows once."""
    if splits.val is None:
        return []
    train = list(digests(splits.train, splits.num_train))
    known = set(train)
    val = list(digests(splits.val, splits.num_val))
    twins = [row for row, digest in enumerate(val) if digest in known]
    if not twins:
        return []
    share, repeats = len(twins) / len(val), 1 - len(known) / len(train)
    what = f"{len(twins):,} of {len(val):,} validation rows ({share:.1%}) stand in training too, such as row {twins[0]}"
    natural = len(twins) < 3 or share <= FEW or repeats >= REPEATED * share
    if natural:
        why = f"the data has equal rows: {repeats:.1%} of the training rows have a twin there"
        return [Finding("shared rows", "dataset", what, why, "drop duplicates, unless they are meant so", note=True)]
    why = "val/loss and val/acc look better than they are"
    return [Finding("shared rows", "dataset", what, why, "drop duplicates, or split by what belongs together")]


def digests(loader: Loader, num_rows: int) -> Iterator[bytes]:
    """A digest of each input, in the order of the split."""
    for batch in loader.fetch(torch.arange(num_rows).split(ROWS_AT_ONCE), 0):
        x, _ = loader.load(batch)
        rows = x.detach().cpu().reshape(len(x), -1).contiguous()
        for row in rows.view(torch.uint8).numpy():
            yield hashlib.blake2b(row, digest_size=16).digest()
