"""The role of each row: training, validation, testing or none; drawn at random, by class, by group or by time."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from trainer.data import seeds
from trainer.errors import ConfigError

Roles = np.ndarray[Any, np.dtype[np.int8]]

TRAIN, VAL, TEST, LEFT_OUT = 0, 1, 2, -1
ROLES = {"train": TRAIN, "val": VAL, "test": TEST}
NAMES = {role: name for name, role in ROLES.items()}
WORDS = {"train": TRAIN, "training": TRAIN, "test": TEST, "testing": TEST} | dict.fromkeys(
    ("val", "valid", "validation", "dev", "eval"), VAL
)
CHUNK = 2**20  # rows permuted at once


def random_roles(num_rows: int, val_fraction: float, split_seed: int, chunk: int = CHUNK) -> Roles:
    """Cut a permutation by split_seed in two; of `chunk` rows at a time, so that memory is bounded."""
    roles = np.zeros(num_rows, dtype=np.int8)
    for first in range(0, num_rows, chunk):
        part = roles[first : first + chunk]
        seed = split_seed if first == 0 else seeds.derive(split_seed, "split", first)
        order = seeds.permutation(len(part), seed).numpy()
        part[order[: int(len(part) * val_fraction)]] = VAL
    return roles


def stratified_roles(codes: Any, val_fraction: float, split_seed: int) -> Roles:
    """Draw within each class; at least one row of each class is for training. codes: the class of each row, int (N,),
    numbered from 0 in the order in which they first occur."""
    roles = np.zeros(len(codes), dtype=np.int8)
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        order = seeds.permutation(len(rows), seeds.derive(split_seed, "class", int(code))).numpy()
        roles[rows[order[: min(len(rows) - 1, round(len(rows) * val_fraction))]]] = VAL
    return roles


def group_roles(codes: Any, val_fraction: float, split_seed: int) -> Roles:
    """Draw complete groups, until the validation split is as large as it should be. codes: see stratified_roles."""
    sizes = np.bincount(codes)
    order = seeds.permutation(len(sizes), split_seed).numpy()
    before = np.cumsum(sizes[order]) - sizes[order]
    chosen = order[before + sizes[order] / 2 <= len(codes) * val_fraction]
    return np.isin(codes, chosen).astype(np.int8)


def time_roles(times: Any, val_fraction: float) -> Roles:
    """Use the latest rows for validation. times: float64 (N,). Raises ConfigError for a missing time, or one time."""
    if np.isnan(times).any():
        raise ConfigError(f"dataset.split=time: {int(np.isnan(times).sum()):,} rows have no time in dataset.split_by")
    if len(times) > 1 and times.min() == times.max():
        raise ConfigError("dataset.split=time: all rows have the same time in dataset.split_by", "dataset.split=random")
    roles = np.zeros(len(times), dtype=np.int8)
    roles[np.argsort(times, kind="stable")[len(times) - int(len(times) * val_fraction) :]] = VAL
    return roles


def named_roles(values: Iterable[Any], name: str) -> Roles:
    """Read roles from words: train, val or test. Raises ConfigError for other words. name: of their column."""
    words = [str(value).strip().lower() if value is not None else None for value in values]
    strange = sorted({str(word) for word in words if word not in WORDS})
    if strange:
        text = f"dataset.split=column: column '{name}' holds {', '.join(strange[:4])}, not train, val or test"
        raise ConfigError(text, "dataset.split=group")
    return np.array([WORDS[word] for word in words if word is not None], dtype=np.int8)
