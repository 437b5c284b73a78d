"""The fold of each row: at random, by class, by labels, by whole groups, or blocks of time."""

from typing import Any

import numpy as np

from trainer.data import seeds

Folds = np.ndarray[Any, np.dtype[np.int64]]
CHUNK = 2**20  # rows permuted at once


def random_folds(num_rows: int, num_folds: int, seed: int, chunk: int = CHUNK) -> Folds:
    """Deal out a permutation of the rows; of `chunk` rows at a time, so that memory is bounded. The folds' sizes differ
    by one row at most."""
    folds = np.empty(num_rows, dtype=np.int64)
    for first in range(0, num_rows, chunk):
        part = folds[first : first + chunk]
        order = seeds.permutation(len(part), seeds.derive(seed, "fold", first)).numpy()
        part[order] = (first + np.arange(len(part))) % num_folds
    return folds


def stratified_folds(codes: Any, num_folds: int, seed: int) -> Folds:
    """Deal out the rows of each class in turn, each class from the fold where the one before has ended. In each class,
    and over all, the folds' sizes differ by one row at most. codes: the class of each row, int (N,)."""
    folds, dealt = np.empty(len(codes), dtype=np.int64), 0
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        order = seeds.permutation(len(rows), seeds.derive(seed, "fold of class", int(code))).numpy()
        folds[rows[order]] = (dealt + np.arange(len(rows))) % num_folds
        dealt += len(rows)
    return folds


def group_folds(codes: Any, num_folds: int, seed: int) -> Folds:
    """Put whole groups, the largest first, into the fold that has fewest rows. codes: the group of each row, int (N,).
    seed: decides between groups of one size."""
    sizes = np.bincount(codes)
    shuffled = seeds.permutation(len(sizes), seeds.derive(seed, "fold of group")).numpy()
    of_group, filled = np.zeros(len(sizes), dtype=np.int64), np.zeros(num_folds, dtype=np.int64)
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        of_group[group] = np.argmin(filled)
        filled[of_group[group]] += sizes[group]
    of_row: Folds = of_group[codes]
    return of_row


def time_blocks(times: Any, num_folds: int) -> Folds:
    """Cut the rows, the earliest first, into blocks of one size: block k + 1 is fold k, and the first, which takes the
    rows that are left over, is -1: nothing comes before it to train on. times: float64 (N,)."""
    size = len(times) // (num_folds + 1)
    blocks = np.full(len(times), -1, dtype=np.int64)
    order = np.argsort(times, kind="stable")
    for fold in range(num_folds):
        first = len(times) - (num_folds - fold) * size
        blocks[order[first : first + size]] = fold
    return blocks


def label_folds(labels: Any, shares: Any, seed: int) -> Folds:
    """Iterative stratification of rows with several labels (Sechidis, Tsoumakas and Vlahavas 2011, algorithm 1).

    Take the label of which fewest rows are left, and put each of its rows into the fold that lacks most rows of this
    label, among those the one that lacks most rows; what is equal after that is drawn. labels: 0 or 1, (N, C). shares:
    of the rows for each fold, float64, which add up to 1.
    """
    labels, shares = np.asarray(labels, dtype=bool), np.asarray(shares, dtype=np.float64)
    folds = np.full(len(labels), -1, dtype=np.int64)
    wanted, wanted_of = shares * len(labels), shares[:, None] * labels.sum(0)
    order = seeds.permutation(len(labels), seeds.derive(seed, "fold of labels")).numpy()
    ties = np.random.default_rng(seeds.derive(seed, "ties")).random((len(labels), len(shares)))
    left = labels.sum(0)

    def put(row: int, lacking: Any) -> None:
        fold = np.lexsort((ties[row], wanted, lacking))[-1]
        folds[row] = fold
        wanted[fold] -= 1
        wanted_of[fold, labels[row]] -= 1

    while (left > 0).any():
        label = int(np.argmin(np.where(left > 0, left, len(labels) + 1)))
        rows = order[labels[order, label] & (folds[order] < 0)]
        for row in rows:
            put(row, wanted_of[:, label])
        left = left - labels[rows].sum(0)
    for row in order[folds[order] < 0]:  # rows without a label
        put(row, wanted)
    return folds
