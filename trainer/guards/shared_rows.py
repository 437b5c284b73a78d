"""Rows that training and validation share: the validation metrics then measure memory, not understanding."""

import numpy as np
import torch

from trainer.data import row_ids, tree
from trainer.data.fingerprint import Fingerprint
from trainer.data.roles import TEST, TRAIN, VAL
from trainer.data.row_ids import Ids
from trainer.data.splits import Split, Splits
from trainer.data.workers import Workers
from trainer.guards.finding import Finding

ROWS_AT_ONCE = 1024
IDS_AT_ONCE = 2**16
FEW = 0.01  # up to this share of the validation rows, duplicates are natural; iris has some
REPEATED = 0.5  # times that share: duplicates within the training rows, as in data with few values


def shared_rows(splits: Splits) -> list[Finding]:
    """Inputs that are in both splits, equal in every bit. Reads all rows once."""
    if splits.val is None:
        return []
    train, val = ids(splits.train), ids(splits.val)
    shared = np.flatnonzero(np.isin(val, train))
    if not len(shared):
        return []
    share, repeats = len(shared) / len(val), _repeats(train)
    what = f"{len(shared):,} of {len(val):,} validation rows ({share:.1%}) are in training too, such as row {shared[0]}"
    if len(shared) < 3 or share <= FEW or repeats >= REPEATED * share:
        why = f"the data has equal rows: {repeats:.1%} of the training rows repeat another one"
        return [Finding("shared rows", "dataset", what, why, "drop duplicates, unless they are intended", note=True)]
    why = "val/loss and val/acc look better than they are"
    return [Finding("shared rows", "dataset", what, why, "drop duplicates, or split by groups of related rows")]


def equal_rows(fingerprint: Fingerprint) -> list[Finding]:
    """Rows to validate or test on that are equal to training rows, their targets too, as far as their content is known;
    pictures are whole files. Natural duplicates are not reported, see shared_rows."""
    if fingerprint.known_by == "position":
        return []
    kind, findings = "pictures" if fingerprint.known_by == "file" else "rows", list[Finding]()
    for name, role in (("validation", VAL), ("test", TEST)):
        rows = fingerprint.ids[fingerprint.roles == role]
        count = _num_among_training(rows, fingerprint) if len(rows) else 0
        share = count / max(len(rows), 1)
        if count < 3 or share <= FEW:
            continue
        train = fingerprint.ids[(fingerprint.roles == TRAIN) & (fingerprint.ids != 0)]
        if _repeats(train) < REPEATED * share:
            what = f"{count:,} of {len(rows):,} {name} {kind} ({share:.1%}) are among the training {kind} too"
            why = f"the model is measured on {kind} that it has seen"
            findings.append(Finding("shared rows", "dataset", what, why, "each of them in one split only"))
    return findings


def _num_among_training(rows: Ids, fingerprint: Fingerprint) -> int:
    """How many of some rows are equal to a training row. It looks at the training rows some at a time, since a sort of
    all of them takes several times their memory."""
    wanted, which = np.unique(rows, return_inverse=True)
    found = np.zeros(len(wanted), dtype=bool)
    for first in range(0, len(fingerprint.ids), IDS_AT_ONCE):
        part = slice(first, first + IDS_AT_ONCE)
        train = fingerprint.ids[part][fingerprint.roles[part] == TRAIN]
        place = np.searchsorted(wanted, train).clip(max=len(wanted) - 1)
        found[place[wanted[place] == train]] = True
    found[wanted == 0] = False  # files that have not been read
    return int(found[which].sum())


def _repeats(train: Ids) -> float:
    """The share of the training rows that repeat another one."""
    return 1 - len(np.unique(train)) / max(len(train), 1)


def ids(split: Split) -> Ids:
    """The ids of the inputs (N,) before any augmentation, in the order of the split."""
    loader = split.loader.unaugmented() if isinstance(split.loader, Workers) else split.loader
    batches = loader.fetch(torch.arange(split.num_rows).split(ROWS_AT_ONCE), 0)
    inputs = (loader.load(batch)[0] for batch in batches)
    return np.concatenate([row_ids.of_tensors(*(leaf.detach().cpu() for leaf in tree.leaves(x))) for x in inputs])
