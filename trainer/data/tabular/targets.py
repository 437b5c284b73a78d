"""A table's targets: numbers, or names of classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from trainer.data.preprocessing import Preprocessing
from trainer.data.scaling import Cast, Standardize
from trainer.data.tabular import matrix
from trainer.data.tabular.fitting import Levels, Moments
from trainer.data.tabular.source import Batch, Source
from trainer.data.tabular.survey import FEW, MOST_CLASSES, Survey
from trainer.errors import ConfigError


def classes_of(found: Survey, targets: Sequence[str], task: str) -> list[str] | None:
    """Names of the classes, in order; None for numbers. Raises ConfigError where it can be neither."""
    name, distinct = targets[0], found.distinct
    numbers = found.kinds[name] == "number"
    if len(targets) > 1 and task == "classes":
        raise ConfigError("several targets are numbers, one each", "dataset.task=numbers")
    if task == "numbers" or len(targets) > 1:
        if wrong := [n for n in targets if found.kinds[n] == "category"]:
            raise ConfigError(
                f"dataset.task=numbers, and {wrong[0]} holds text", f"'dataset.types={{{wrong[0]}: number}}' says where"
            )
        return None
    if numbers and task == "auto":
        few = distinct is not None and len(distinct) <= max(2, min(FEW, int(found.labelled.sum()) // 5))
        if not (few and all(_is_whole(value) for value in distinct or ())):
            return None
    if distinct is None:
        raise ConfigError(f"{name} has more than {MOST_CLASSES:,} different values: no classes", "dataset.task=numbers")
    names = {_class_name(value) for value in distinct}
    if not numbers and len(names) > max(20, int(found.labelled.sum()) // 2):
        raise ConfigError(
            f"{name} holds {len(names):,} different texts: neither numbers nor classes", "dataset.target=COLUMN"
        )
    if len(names) < 2:
        raise ConfigError(f"{name} is always {next(iter(names))}: there is nothing to learn", "dataset.target=COLUMN")
    return sorted(names, key=lambda text: (0, float(text), "") if numbers else (1, 0.0, text))


def fit_targets(
    seen: Mapping[str, Moments | Levels],
    targets: Sequence[str],
    classes: Sequence[str] | None,
    source: Source,
    missing: Sequence[str],
    dtype: torch.dtype,
) -> tuple[Standardize | Cast | None, tuple[int, ...] | None]:
    """How numeric targets are scaled, or how many training rows each class has. Raises ConfigError."""
    first = seen[targets[0]]
    if classes is not None and isinstance(first, Levels):
        counted = {_class_name(name): count for name, count in first.counts.items()}
        counts = tuple(counted.get(name, 0) for name in classes)
        if 0 in counts:
            absent = classes[counts.index(0)]
            text = f"class '{absent}' of {targets[0]} has no row to train on, only others"
            raise ConfigError(text, "dataset.split=stratified")
        return None, counts
    numbers = [tally for tally in seen.values() if isinstance(tally, Moments)]
    for name, tally in zip(targets, numbers, strict=True):
        if tally.infinite:
            raise _infinite(source, name, missing)
        if tally.squares == 0:
            raise ConfigError(f"{name} is always {tally.mean:g}: there is nothing to learn", "dataset.target=COLUMN")
    mean, std = ([getattr(tally, which) for tally in numbers] for which in ("mean", "std"))
    return Standardize(torch.tensor(mean, dtype=dtype), torch.tensor(std, dtype=dtype)), None


def targets_of(batch: Batch, made: Preprocessing) -> Tensor:
    """Labels (B,) int64, -1 where there is none; or numbers (B, outputs) float64. Raises ConfigError."""
    (_, table), classes = made.of_table(), made.facts.classes
    if classes is None:
        values = []
        for name in table.targets:
            try:
                values.append(matrix.to_floats(batch.columns[name], table.target_kind, table.missing))  # type: ignore[arg-type]
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise matrix.refusal(batch, name, "number", table.missing) from error
            if np.isinf(values[-1]).any():
                row = int(np.flatnonzero(np.isinf(values[-1]))[0])
                raise ConfigError(f"{batch.where(row)}: {name} is infinite")
        return torch.from_numpy(np.stack(values, 1))
    text = matrix.to_text(batch.columns[table.targets[0]], table.missing)
    codes = pc.index_in(class_text(text), value_set=pa.array(classes, pa.string()))
    strange = np.asarray(pc.and_(pc.is_null(codes), pc.is_valid(text)))
    if strange.any():
        row = int(np.flatnonzero(strange)[0])
        name, value = table.targets[0], text[row].as_py()
        raise ConfigError(f"{batch.where(row)}: {name} '{value}' is none of the classes {', '.join(classes[:6])}")
    return torch.from_numpy(np.asarray(codes.fill_null(-1)).astype(np.int64))


def class_text(text: Any) -> Any:
    """Texts as names of classes: 1.0 is 1."""
    unique = pc.unique(text)
    names = pa.array([None if value is None else _class_name(value) for value in unique.to_pylist()], pa.string())
    return names.take(pc.index_in(text, value_set=unique))


def _class_name(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return f"{number:.15g}" if number == number else str(value)


def _is_whole(value: Any) -> bool:
    return float(value).is_integer()


def _infinite(source: Source, name: str, missing: Sequence[str]) -> ConfigError:
    for batch in source.batches([name]):
        rows = np.flatnonzero(np.isinf(matrix.to_floats(batch.columns[name], "number", missing)))
        if len(rows):
            return ConfigError(f"{batch.where(int(rows[0]))}: {name} is infinite")
    return ConfigError(f"{name} is infinite somewhere")
