"""The targets of a table: numbers, or names of classes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from trainer.data.preprocessing import Preprocessing
from trainer.data.scaling import Scale, Way, for_targets
from trainer.data.tabular import matrix
from trainer.data.tabular.fitting import Levels, Moments, mean_and_std
from trainer.data.tabular.source import Batch, Source
from trainer.data.tabular.survey import FEW, MOST_CLASSES, Survey
from trainer.errors import ConfigError


def classes_of(survey: Survey, targets: Sequence[str], task: str) -> list[str] | None:
    """Names of the classes, in order; None for numbers. Raises ConfigError if the targets can be neither."""
    name, distinct = targets[0], survey.distinct
    is_numeric, num_labelled = survey.kinds[name] == "number", int(survey.labelled.sum())
    if len(targets) > 1 and task == "classes":
        raise ConfigError("several targets have to be numbers", "dataset.task=numbers")
    if task == "numbers" or len(targets) > 1:
        if wrong := [n for n in targets if survey.kinds[n] == "category"]:
            text = f"dataset.task=numbers, but {wrong[0]} holds text"
            raise ConfigError(text, f"'dataset.types={{{wrong[0]}: number}}' shows the line")
        return None
    if is_numeric and task == "auto":
        is_small = distinct is not None and len(distinct) <= max(2, min(FEW, num_labelled // 5))
        if not is_small or not all(float(value).is_integer() for value in distinct or ()):
            return None
    if distinct is None:
        text = f"{name} has more than {MOST_CLASSES:,} different values, too many for classes"
        raise ConfigError(text, "dataset.task=numbers")
    names = {_class_name(value) for value in distinct}
    if not is_numeric and len(names) > max(20, num_labelled // 2):
        text = f"{name} holds {len(names):,} different texts: neither numbers nor classes"
        raise ConfigError(text, "dataset.target=COLUMN")
    if len(names) < 2:
        raise ConfigError(f"{name} is always {next(iter(names))}: there is nothing to learn", "dataset.target=COLUMN")
    return sorted(names, key=lambda text: (float(text), "") if is_numeric else (0.0, text))


def fit_targets(
    tallies: Sequence[Moments | Levels],
    targets: Sequence[str],
    classes: Sequence[str] | None,
    source: Source,
    dtype: torch.dtype,
    way: Way | None,
) -> tuple[Scale | None, tuple[int, ...] | None]:
    """(the scaling of numeric targets, the number of training rows of each class); one of them is None.

    tallies: of the training rows, one for each of `targets`; way: see TargetScaling. Raises ConfigError.
    """
    if classes is not None and isinstance(tallies[0], Levels):
        rows = {_class_name(text): count for text, count in tallies[0].counts.items()}
        counts = tuple(rows.get(name, 0) for name in classes)
        if 0 in counts:
            text = (
                f"class '{classes[counts.index(0)]}' of {targets[0]} has no row to train on, only rows in other splits"
            )
            raise ConfigError(text, "dataset.split=stratified")
        return None, counts
    moments = [tally for tally in tallies if isinstance(tally, Moments)]
    for name, tally in zip(targets, moments, strict=True):
        if tally.infinite:
            for batch in source.batches([name]):
                _check_finite(batch, name, matrix.to_floats(batch.columns[name], "number", source.dialect.missing))
        if tally.squares == 0:
            raise ConfigError(f"{name} is always {tally.mean:g}: there is nothing to learn", "dataset.target=COLUMN")
    return for_targets(*mean_and_std(moments), way, dtype, (len(targets),)), None


def targets_of(batch: Batch, preprocessing: Preprocessing) -> Tensor:
    """Labels (B,) int64, -1 for a missing one; or numbers (B, outputs) float64. Raises ConfigError."""
    (_, table), classes = preprocessing.of_table(), preprocessing.facts.classes
    if classes is None:
        kind: Any = table.target_kind
        columns = {name: matrix.numbers_of(batch, name, kind, table.missing) for name in table.targets}
        for name, values in columns.items():
            _check_finite(batch, name, values)
        return torch.from_numpy(np.stack(list(columns.values()), 1))
    name = table.targets[0]
    text = matrix.to_text(batch.columns[name], table.missing)
    unique = pc.unique(text)
    names = pa.array([None if v is None else _class_name(v) for v in unique.to_pylist()], pa.string())
    codes = pc.index_in(names, value_set=pa.array(classes, pa.string())).take(pc.index_in(text, value_set=unique))
    unknown = np.flatnonzero(pc.and_(pc.is_null(codes), pc.is_valid(text)))
    if len(unknown):
        row = int(unknown[0])
        what = f"{name} '{text[row].as_py()}' is not one of the classes {', '.join(classes[:6])}"
        raise ConfigError(f"{batch.where(row)}: {what}")
    return torch.from_numpy(np.asarray(codes.fill_null(-1)).astype(np.int64))


def _check_finite(batch: Batch, name: str, values: matrix.Floats) -> None:
    rows = np.flatnonzero(np.isinf(values))
    if len(rows):
        raise ConfigError(f"{batch.where(int(rows[0]))}: {name} is infinite")


def _class_name(value: Any) -> str:
    """The name of a value as a class: 1.0 and 1 are the same."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return f"{number:.15g}" if number == number else str(value)
