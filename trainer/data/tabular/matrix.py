"""A batch of rows as one matrix of floats.

A number stands for itself, a date for the days since 1970, a category for its index: levels first, then `other`, then
`missing`, if training had such rows. NaN stands for a missing value of any kind.
"""

import bisect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainer.data.tabular import typed
from trainer.data.tabular.batch import Batch
from trainer.data.tabular.column import KINDS, Column, Kind
from trainer.data.tabular.conversion import Floats, to_floats, to_text
from trainer.data.tabular.dialect import Dialect
from trainer.data.tabular.unseen import Unseen, spelling_of
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest, did_you_mean
from trainer.text import cut, first_few

WHAT = {"number": "a number", "date": "a date like 2026-11-25", "category": "text"}


def numbers_of(batch: Batch, name: str, kind: Kind, dialect: Dialect) -> Floats:
    """A column of numbers or dates as float64 with NaN. Raises ConfigError that names the first bad value."""
    try:
        return to_floats(batch.columns[name], kind, dialect)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise refusal(batch, name, kind, dialect) from error


def refusal(batch: Batch, name: str, kind: Kind, dialect: Dialect) -> ConfigError:
    """The error for a column that is not of its kind: file, line, column and the first bad value."""
    values = batch.columns[name]
    if not pa.types.is_string(values.type):
        return ConfigError(f"{batch.where(0)}: column '{name}' is {values.type}, not a {kind}")

    def is_bad(row: int) -> bool:
        """Whether there is a bad value up to this row."""
        try:
            to_floats(values.slice(0, row + 1), kind, dialect)
        except pa.ArrowInvalid:
            return True
        return False

    row = bisect.bisect_left(range(len(values) - 1), True, key=is_bad)
    number, shown = list(batch.columns).index(name) + 1, cut(values[row].as_py().strip(), 30)
    return ConfigError(f"{batch.where(row)} column {number} ({name}): '{shown}' is not {WHAT[kind]}")


def encode(batch: Batch, columns: Sequence[Column], dialect: Dialect, unseen: Unseen | None) -> Floats:
    """Encode a batch as (rows, columns) float64. unseen: counts the values that training did not have.

    A category beyond the levels is `other` if training had such rows, else -1. Raises ConfigError.
    """
    matrix = np.empty((batch.num_rows, len(columns)), dtype=np.float64)
    for index, column in enumerate(columns):
        if column.kind == "category":
            matrix[:, index] = _codes(column, batch.columns[column.name], dialect, unseen)
            continue
        numbers = numbers_of(batch, column.name, column.kind, dialect)
        matrix[:, index] = np.where(np.isinf(numbers), np.nan, numbers)
        if unseen is not None:
            unseen.numbers(column, numbers)
    return matrix


def _codes(column: Column, values: Any, dialect: Dialect, unseen: Unseen | None) -> Floats:
    text, levels = to_text(values, dialect), pa.array(column.levels, pa.string())
    codes = _places(text, levels)
    strange = np.isnan(codes) & pc.is_valid(text).to_numpy(zero_copy_only=False)
    if strange.any():
        strangers = text.filter(pa.array(strange))
        counts = strangers.value_counts()
        spelled = _as_trained(column, counts.to_pylist(), unseen, is_text=pa.types.is_string(values.type))
        places = pc.index_in(strangers, value_set=counts.field("values"))
        codes[strange] = _places(pa.array(spelled, pa.string()).take(places), levels)
        codes[strange & np.isnan(codes)] = len(column.levels) if column.other else -1
    if unseen is not None:
        unseen.holes(column, text.null_count)
    codes[pc.is_null(text).to_numpy(zero_copy_only=False)] = np.nan if column.missing else -1
    return codes


def _places(text: Any, levels: Any) -> Floats:
    return np.array(pc.index_in(text, value_set=levels).to_numpy(zero_copy_only=False), dtype=np.float64)


def _as_trained(
    column: Column, counts: Sequence[Mapping[str, Any]], unseen: Unseen | None, *, is_text: bool
) -> list[str]:
    """Values beyond the levels, each as training spelled it, if it did. unseen: counts those that training did not
    have, and of text those that it spelled differently."""
    result = []
    for value, count in ((entry["values"], entry["counts"]) for entry in counts):
        spelling = spelled(column, value)
        if unseen is not None and spelling is not None and is_text:
            unseen.spelled[column.name, value, spelling] += count
        elif unseen is not None and spelling is None and not column.is_open and not column.has(value):
            unseen.category(column, value, count)
        result.append(spelling or value)
    return result


def spelled(column: Column, value: str) -> str | None:
    """How training spelled a value that it had in another spelling only, such as 101 for 101.0; else None."""
    spell = spelling_of(column.levels)
    others = [text for text in spell(value) if text != value] if spell is not None else []
    return next(filter(column.has, others), None) if others and not column.has(value) else None


def check_present(needed: Sequence[str], names: Sequence[str], where: str) -> None:
    """Raise ConfigError that names the missing columns."""
    lacking = [name for name in needed if name not in names]
    if lacking:
        s, near = "s" * (len(lacking) > 1), did_you_mean(lacking[0], names)
        has = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        raise ConfigError(f"{where} has no column{s} {first_few(lacking, 8)}.{near}", f"its columns: {has}")


def check_types(types: Mapping[str, str], names: Sequence[str], where: str) -> None:
    """Raise ConfigError for a column that does not exist, or an unknown type."""
    check_present(list(types), names, where)
    for name, kind in types.items():
        if kind not in KINDS:
            text = f"dataset.types: {name} has the unknown type {kind}: there are {', '.join(KINDS)}"
            raise ConfigError(text, typed.types(name, closest(kind, KINDS) or KINDS[0]))
