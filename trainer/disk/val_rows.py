"""val_rows.safetensors: what the best weights of a run say about each validation row, for comparing runs row by row.

The rows are those of the whole split, or MOST of them, drawn the same for all runs of a split. Imports no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import numpy as safetensors

from trainer.disk import digest, layout
from trainer.disk.reading import Damaged

MOST = 100_000  # rows
MOST_DRAWN = 1_000  # rows of a draw
MOST_BYTES = 2**30
ROW, WEIGHT, DRAWS = "row", ".weight", ".draws"
PREDICTION, TARGET = "prediction", "target"
Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ValRows:
    """rows: (R,) int64, their numbers in the data. values: {name: (value (R,), weight (R,))} of the loss and of each
    metric that has a value a row: the metric of the split is their weighted mean. others: prediction and target, (R, …)
    each, as far as they are small. draws: each metric that has no value a row, measured on min(R, MOST_DRAWN) rows
    that were drawn again, (draws,)."""

    rows: Array
    values: Mapping[str, tuple[Array, Array]]
    others: Mapping[str, Array] = field(default_factory=dict)
    draws: Mapping[str, Array] = field(default_factory=dict)


def arrays(found: ValRows) -> dict[str, Array]:
    """The arrays of the file."""
    parts = {ROW: found.rows, **found.others, **{name + DRAWS: values for name, values in found.draws.items()}}
    for name, (value, weight) in found.values.items():
        parts[name] = value
        if (weight != 1).any():
            parts[name + WEIGHT] = weight
    return parts


def is_whole(folder: Path) -> bool:
    """Whether a run folder has rows that can be read."""
    try:
        return read(folder) is not None
    except Damaged:
        return False


def read(folder: Path) -> ValRows | None:
    """The rows of a run folder, of any author; None where it has none, as in runs before 0.7.0. Raises Damaged."""
    path = folder / layout.VAL_ROWS
    try:
        parts = safetensors.load(digest.read_tensors(path, MOST_BYTES))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError) as error:
        raise Damaged(f"{path} cannot be read") from error
    rows = parts.pop(ROW, None)
    if rows is None or rows.ndim != 1 or rows.dtype != np.int64:
        raise Damaged(f"{path} does not name its rows")
    draws = {name: parts.pop(name) for name in [*parts] if name.endswith(DRAWS)}
    if any(values.ndim != 1 for values in draws.values()):
        raise Damaged(f"{path} has several values for a draw")
    if any(array.shape[:1] != rows.shape for array in parts.values()):
        raise Damaged(f"{path} does not have a value for each of its rows")
    others = {name: parts.pop(name) for name in (PREDICTION, TARGET) if name in parts}
    names = [name for name in parts if not name.endswith(WEIGHT)]
    ones = np.ones(len(rows))
    values = {name: (parts[name].astype(float), parts.get(name + WEIGHT, ones).astype(float)) for name in names}
    if any(value.ndim != 1 for value, _ in values.values()):
        raise Damaged(f"{path} has several values for a row")
    return ValRows(rows, values, others, {name.removesuffix(DRAWS): array for name, array in draws.items()})
