"""A 64-bit id for each row of a data set, a hash of its content, so that a row is known again wherever it moves.

The hash adds up the words of a row, each mixed with its place by the finaliser of SplitMix64 (Steele, Lea and Flood
2014); the ids of different rows agree with a chance of about 1 in 2^64.
"""

from typing import Any

import numpy as np
import torch
import xxhash
from torch import Tensor

Ids = np.ndarray[Any, np.dtype[np.uint64]]

WORDS = 2**18  # words mixed at once, so that they stay in the processor's cache
GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def mixed(words: Ids) -> Ids:
    """Mix 64-bit words in place, one to one."""
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        words ^= words >> np.uint64(shift)
        words *= np.uint64(factor)
    words ^= words >> np.uint64(31)
    return words


def of_tensors(*tensors: Tensor) -> Ids:
    """The id of each row of tensors (N, *) on the CPU, from the bytes of the row in all of them."""
    total = np.zeros(len(tensors[0]), dtype=np.uint64)
    for place, tensor in enumerate(tensors):
        flat = tensor.contiguous().reshape(-1)  # whose stride is 1, which that of an axis of length 1 need not be
        rows = flat.view(torch.uint8).reshape(len(tensor), -1).numpy()
        width = -(-rows.shape[1] // 8)
        salt = mixed((np.arange(1, width + 1, dtype=np.uint64) + np.uint64(place << 32)) * GOLDEN)
        step = max(1, WORDS // max(1, width))
        for first in range(0, len(rows), step):
            part = rows[first : first + step]
            words = np.zeros((len(part), width * 8), dtype=np.uint8)
            words[:, : rows.shape[1]] = part
            total[first : first + step] += mixed(words.view(np.uint64) + salt).sum(1, dtype=np.uint64)
    return mixed(total)


def of_columns(columns: dict[str, Any]) -> Ids:
    """The id of each row of named columns, in any order: float64 arrays (N,), or texts as pyarrow arrays (N,).

    Missing values are equal to each other, and 0 is equal to -0.
    """
    total: Ids | None = None
    for name, values in columns.items():
        words = _number_words(values) if isinstance(values, np.ndarray) else _text_words(values)
        words += np.uint64(xxhash.xxh3_64_intdigest(name.encode()))
        total = mixed(words) if total is None else total + mixed(words)
    return mixed(total) if total is not None else np.zeros(0, dtype=np.uint64)


def _number_words(values: "np.ndarray[Any, np.dtype[np.float64]]") -> Ids:
    numbers = values + 0.0
    numbers[np.isnan(numbers)] = np.nan
    return numbers.view(np.uint64)


def _text_words(values: Any) -> Ids:
    coded = values.dictionary_encode()
    words = [0 if text is None else xxhash.xxh3_64_intdigest(text.encode()) for text in coded.dictionary.to_pylist()]
    table = np.array([*words, 1], dtype=np.uint64)  # the last word is that of a missing value
    codes = np.asarray(coded.indices.fill_null(len(words)))
    return np.take(table, codes)


def positions(num_rows: int, salt: int = 0) -> Ids:
    """Ids that tell rows apart by their position alone. salt: of the data set, so that those of two do not agree."""
    return np.arange(1, num_rows + 1, dtype=np.uint64) + np.uint64(salt << 56)
