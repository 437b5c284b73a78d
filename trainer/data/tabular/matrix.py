"""The kinds of a table's columns, and a batch of rows as one matrix of floats.

A number stands for itself, a date for the days since 1970, a category for its index: levels first, then `other`, then
`missing`, if training had such rows. NaN stands for a missing value of any kind.
"""

import bisect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainer.data.tabular.column import KINDS, MOST_LEVELS, Column, Kind
from trainer.data.tabular.source import Batch
from trainer.errors import ConfigError
from trainer.terminal.spelling import did_you_mean
from trainer.text import cut

Floats = np.ndarray[Any, np.dtype[np.float64]]

MICROSECONDS_PER_DAY = 86_400e6
LOOKS: dict[Kind, str] = {
    "number": r"^(?i)[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)$",
    "date": r"^\d{4}-\d{1,2}-\d{1,2}",
}
WHAT = {"number": "a number", "date": "a date like 2026-11-25", "category": "text"}


def text_of(values: Any, missing: Sequence[str]) -> Any:
    """Trim a column of text; null for what counts as missing."""
    trimmed = pc.utf8_trim_whitespace(values)
    return pc.if_else(pc.is_in(trimmed, value_set=pa.array(missing, pa.string())), None, trimmed)


def to_text(values: Any, missing: Sequence[str]) -> Any:
    """Any column as text, for a category: text is trimmed, whole numbers have no decimal point."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        return text_of(values.cast(pa.string()), missing)
    if pa.types.is_floating(values.type):
        return pa.array([None if v is None or v != v else f"{v:.15g}" for v in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def to_floats(values: Any, kind: Kind, missing: Sequence[str]) -> Floats:
    """Numbers or dates as float64, NaN for missing ones. Raises pa.ArrowInvalid for a text that is neither."""
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = text_of(values, missing)
        if kind == "date":
            values = _timestamps(values)
    if pa.types.is_temporal(values.type):
        return _numpy(values.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64())) / MICROSECONDS_PER_DAY
    return _numpy(values.cast(pa.float64()))


def _numpy(values: Any) -> Floats:
    return np.array(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def _timestamps(text: Any) -> Any:
    """ISO dates and times; those with a time zone are converted to UTC."""
    try:
        return text.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return text.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))


def numbers_of(batch: Batch, name: str, kind: Kind, missing: Sequence[str]) -> Floats:
    """A column of numbers or dates as float64 with NaN. Raises ConfigError that names the first bad value."""
    try:
        return to_floats(batch.columns[name], kind, missing)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise refusal(batch, name, kind, missing) from error


def refusal(batch: Batch, name: str, kind: Kind, missing: Sequence[str]) -> ConfigError:
    """The error for a column that is not of its kind: file, line, column and the first bad value."""
    values = batch.columns[name]
    if not pa.types.is_string(values.type):
        return ConfigError(f"{batch.where(0)}: column '{name}' is {values.type}, not a {kind}")

    def is_bad(row: int) -> bool:
        """Whether there is a bad value up to this row."""
        try:
            to_floats(values.slice(0, row + 1), kind, missing)
        except pa.ArrowInvalid:
            return True
        return False

    row = bisect.bisect_left(range(len(values) - 1), True, key=is_bad)
    number, shown = list(batch.columns).index(name) + 1, cut(values[row].as_py().strip(), 30)
    return ConfigError(f"{batch.where(row)} column {number} ({name}): '{shown}' is not {WHAT[kind]}")


def encode(batch: Batch, columns: Sequence[Column], missing: Sequence[str], unknown: dict[str, set[str]]) -> Floats:
    """Encode a batch as (rows, columns) float64. unknown: collects the categories not seen in training, by column.

    A category beyond the levels is `other` if training had such rows, else -1. Raises ConfigError.
    """
    matrix = np.empty((batch.num_rows, len(columns)), dtype=np.float64)
    for index, column in enumerate(columns):
        if column.kind == "category":
            matrix[:, index] = _codes(column, to_text(batch.columns[column.name], missing), unknown)
        else:
            numbers = numbers_of(batch, column.name, column.kind, missing)
            matrix[:, index] = np.where(np.isinf(numbers), np.nan, numbers)
    return matrix


def _codes(column: Column, text: Any, unknown: dict[str, set[str]]) -> Floats:
    codes = _numpy(pc.index_in(text, value_set=pa.array(column.levels, pa.string())))
    missing = np.asarray(text.is_null())
    rare = np.isnan(codes) & ~missing
    codes[rare] = len(column.levels) if column.other else -1
    codes[missing] = np.nan if column.missing else -1
    if rare.any() and not column.other and len(unknown.get(column.name, ())) < MOST_LEVELS:
        new = pc.unique(text.filter(pa.array(rare))).to_pylist()[:MOST_LEVELS]
        unknown.setdefault(column.name, set()).update(new)
    return codes


def schema_kind(field: Any) -> Kind:
    """The kind of a Parquet column. Raises ConfigError if it is neither a number, a date nor text."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "category"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return "date"
    text = f"column '{field.name}' is {kind}, which is neither a number, a date nor text"
    raise ConfigError(text, f"dataset.drop=[{field.name}]")


def check_present(needed: Sequence[str], names: Sequence[str], where: str) -> None:
    """Raise ConfigError that names the missing columns."""
    lacking = [name for name in needed if name not in names]
    if lacking:
        s, near = "s" * (len(lacking) > 1), did_you_mean(lacking[0], names)
        shown = ", ".join(lacking[:8]) + (f" and {len(lacking) - 8} more" if len(lacking) > 8 else "")
        has = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        raise ConfigError(f"{where} has no column{s} {shown}.{near}", f"its columns: {has}")


def check_types(types: Mapping[str, str], names: Sequence[str], where: str) -> None:
    """Raise ConfigError for a column that does not exist, or an unknown type."""
    check_present(list(types), names, where)
    for name, kind in types.items():
        if kind not in KINDS:
            text = f"dataset.types: {name} has the unknown type {kind}"
            raise ConfigError(text, f"'dataset.types={{{name}: number|date|category}}'")
