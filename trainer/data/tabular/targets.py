"""The targets of a table: numbers, or names of classes."""

import math
import re
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from trainer.data.preprocessing import Preprocessing
from trainer.data.scaling import Scale
from trainer.data.tabular import matrix, typed
from trainer.data.tabular.batch import Batch
from trainer.data.tabular.column import Column, Kind
from trainer.data.tabular.conversion import Floats, to_text
from trainer.data.tabular.dialect import Dialect
from trainer.data.tabular.fitting import Levels, Moments, mean_and_std
from trainer.data.tabular.notation import pointed
from trainer.data.tabular.source import Source
from trainer.data.tabular.survey import MOST_CLASSES, Survey
from trainer.data.tabular.table_format import TableFormat
from trainer.data.target_scaling import Way, for_targets
from trainer.errors import ConfigError

FEW = 20  # distinct whole numbers up to which a target has classes
MOST_DIGITS = 40  # of a whole number that names a class
PADDED = re.compile(r"0\d+")  # digits that are a name, not a number
NUMERAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,9})?", re.ASCII | re.IGNORECASE)


def classes_of(survey: Survey, targets: Sequence[str], task: str, dialect: Dialect) -> tuple[list[str] | None, Kind]:
    """(names of the classes in order, None for numbers; the kind of the targets: classes of kind number are whole
    numbers, and 1.0 is 1; those of kind category are texts). Raises ConfigError if the targets can be neither."""
    name, texts, kind = targets[0], survey.distinct, survey.kinds[targets[0]]
    names: set[str] | None
    num_labelled = int(survey.labelled.sum())
    if len(targets) > 1 and task == "classes":
        raise ConfigError("several targets have to be numbers", "dataset.task=numbers")
    if task == "numbers" or len(targets) > 1:
        if wrong := [n for n in targets if survey.kinds[n] == "category"]:
            text = f"dataset.task=numbers, but {wrong[0]} holds text"
            raise ConfigError(text, typed.types(wrong[0], "number"))
        return None, kind
    if kind == "number" and task == "auto":
        wholes = set(whole_numbers(pa.array(sorted(texts or ()), pa.string()), dialect))
        if texts is None or None in wholes or len(wholes) > max(2, min(FEW, num_labelled // 5)):
            return None, kind
        names = {name for name in wholes if name is not None}
        padded = sorted(text for text in texts or () if PADDED.fullmatch(text)) if name in survey.texts else []
        if padded:  # in one of several files: in one file, such texts are categories
            text = f"{name} holds {padded[0]} and numbers that do not begin with 0; as a number it is {int(padded[0])}"
            raise ConfigError(text, typed.types(name, "category"))
    else:
        names, kind = texts, "category"
    if names is None:
        text = f"{name} has more than {MOST_CLASSES:,} different values, too many for classes"
        raise ConfigError(text, "dataset.task=numbers")
    if survey.kinds[name] != "number" and len(names) > max(20, num_labelled // 2):
        text = f"{name} holds {len(names):,} different texts: neither numbers nor classes"
        raise ConfigError(text, "dataset.target=COLUMN")
    if len(names) < 2:
        raise ConfigError(f"{name} is always {next(iter(names))}: there is nothing to learn", "dataset.target=COLUMN")
    return sorted(names, key=in_order), kind


def in_order(name: str) -> tuple[bool, Decimal, str]:
    """A key that sorts numbers by value and before texts, and what is equal as text."""
    is_number = NUMERAL.fullmatch(name) is not None
    return not is_number, Decimal(name) if is_number else Decimal(0), name


def whole_numbers(texts: Any, dialect: Dialect) -> list[str | None]:
    """Texts as whole numbers, with all their digits: 1 for 1.0 and 1e0. None for what is not a whole number."""
    return [_whole(text) for text in pointed(texts.cast(pa.string()), dialect).to_pylist()]


def _whole(text: str | None) -> str | None:
    text = (text or "").removesuffix("%").rstrip()
    if not NUMERAL.fullmatch(text) or (number := Decimal(text)).adjusted() > MOST_DIGITS:
        return None
    return f"{int(number)}" if number == int(number) else None


def fit_targets(
    tallies: Sequence[Moments | Levels],
    targets: Sequence[str],
    classes: Sequence[str] | None,
    kind: Kind,
    source: Source,
    dtype: torch.dtype,
    way: Way | None,
) -> tuple[Scale | None, tuple[int, ...] | None]:
    """(the scaling of numeric targets, the number of training rows of each class); one of them is None.

    tallies: of the training rows, one for each of `targets`; kind: of the targets; way: see TargetScaling. Raises
    ConfigError.
    """
    if classes is not None and isinstance(tallies[0], Levels):
        texts, rows = list(tallies[0].counts), Counter[str | None]()
        names = whole_numbers(pa.array(texts, pa.string()), source.dialect) if kind == "number" else texts
        for text, name in zip(texts, names, strict=True):
            rows[name] += tallies[0].counts[text]
        counts = tuple(rows[name] for name in classes)
        if 0 in counts:
            name = classes[counts.index(0)]
            text = f"class '{name}' of {targets[0]} has no row to train on, only rows that validate or test"
            raise ConfigError(text, "dataset.split=stratified")
        return None, counts
    moments = [tally for tally in tallies if isinstance(tally, Moments)]
    for name, tally in zip(targets, moments, strict=True):
        if tally.infinite:
            for batch in source.batches([name]):
                _check_finite(batch, name, matrix.numbers_of(batch, name, kind, source.dialect))
        if math.isinf(tally.squares):
            raise ConfigError(f"{name} is too large to learn from: {tally.low:g} to {tally.high:g}")
        if tally.constant:
            raise ConfigError(f"{name} is always {tally.mean:g}: there is nothing to learn", "dataset.target=COLUMN")
    return for_targets(*mean_and_std(moments), way, dtype, (len(targets),)), None


def targets_of(batch: Batch, preprocessing: Preprocessing) -> Tensor:
    """Labels (B,) int64, -1 for a missing one; or numbers (B, outputs) float64. Raises ConfigError."""
    (_, table), classes = preprocessing.of_table(), preprocessing.facts.classes
    if classes is None:
        kind: Any = table.target_kind
        columns = {name: matrix.numbers_of(batch, name, kind, table.dialect) for name in table.targets}
        for name, values in columns.items():
            _check_finite(batch, name, values)
        return torch.from_numpy(np.stack(list(columns.values()), 1))
    name = table.targets[0]
    text = to_text(batch.columns[name], table.dialect)
    texts = text.unique()
    names = whole_numbers(texts, table.dialect) if table.target_kind == "number" else texts.to_pylist()
    column = Column(name, "category", tuple(classes))
    names = [None if name is None else matrix.spelled(column, name) or name for name in names]
    codes = pc.index_in(pa.array(names, pa.string()), value_set=pa.array(classes, pa.string()))
    codes = codes.take(pc.index_in(text, value_set=texts))
    unknown = np.flatnonzero(pc.and_(pc.is_null(codes), pc.is_valid(text)))
    if len(unknown):
        row = int(unknown[0])
        what = f"{name} '{text[row].as_py()}' is not one of the classes {', '.join(classes[:6])}"
        raise ConfigError(f"{batch.where(row)}: {what}")
    return torch.from_numpy(np.asarray(codes.fill_null(-1)).astype(np.int64))


def unknown_labels(batch: Batch, preprocessing: Preprocessing, *, by_value: bool) -> Counter[str]:
    """How often each label occurs that is not one of the run's classes. by_value: whether 01 is the class 1."""
    (_, table), classes = preprocessing.of_table(), preprocessing.facts.classes
    if classes is None:
        return Counter()
    counts = Counter[str]()
    for entry in to_text(batch.columns[table.targets[0]], table.dialect).drop_null().value_counts().to_pylist():
        text = entry["values"]
        if (PADDED.fullmatch(text) and not by_value and text not in classes) or _class_of(text, table, classes) is None:
            counts[text] += entry["counts"]
    return counts


def _class_of(text: str, table: TableFormat, classes: Sequence[str]) -> str | None:
    name = whole_numbers(pa.array([text]), table.dialect)[0] if table.target_kind == "number" else text
    name = name and (matrix.spelled(Column(table.targets[0], "category", tuple(classes)), name) or name)
    return name if name in classes else None


def _check_finite(batch: Batch, name: str, values: Floats) -> None:
    rows = np.flatnonzero(np.isinf(values))
    if len(rows):
        raise ConfigError(f"{batch.where(int(rows[0]))}: {name} is infinite")
