"""What the columns of a table are, and a batch of rows as one matrix of floats.

A number is itself, a date the days since 1970, a category its index: levels first, then `other`, then `missing`, where
training had such rows. NaN is what is missing, in any of them.
"""

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

SECONDS_A_DAY = 86_400e6  # in microseconds
LOOKS: dict[Kind, str] = {
    "number": r"^(?i)[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)$",
    "date": r"^\d{4}-\d{1,2}-\d{1,2}",
}
WHAT = {"number": "no number", "date": "no date like 2026-11-25", "category": "no text"}


def text_of(values: Any, missing: Sequence[str]) -> Any:
    """Text trimmed, with null for what counts as missing."""
    trimmed = pc.utf8_trim_whitespace(values)
    return pc.if_else(pc.is_in(trimmed, value_set=pa.array(missing, pa.string())), None, trimmed)


def to_text(values: Any, missing: Sequence[str]) -> Any:
    """Any column as text, for a category: CSV's trimmed, whole numbers without a point."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type) or pa.types.is_string_view(values.type):
        return text_of(values.cast(pa.string()), missing)
    if pa.types.is_floating(values.type):
        return pa.array([None if v is None or v != v else f"{v:.15g}" for v in values.to_pylist()], pa.string())
    return values.cast(pa.string())


def to_floats(values: Any, kind: Kind, missing: Sequence[str]) -> Floats:
    """A column of numbers or dates as float64 with NaN. Raises pa.ArrowInvalid for a text that is none."""
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = text_of(values, missing)
        if kind == "date":
            values = _moments(values)
    if pa.types.is_temporal(values.type):
        days = values.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64())
        return _numpy(days) / SECONDS_A_DAY
    return _numpy(values.cast(pa.float64()))


def _numpy(values: Any) -> Floats:
    array: Floats = np.array(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    return array


def _moments(text: Any) -> Any:
    """ISO dates and times, in UTC where they say so."""
    try:
        return text.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return text.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))


def first_bad(values: Any, kind: Kind, missing: Sequence[str]) -> int:
    """The first row whose text is no number or date, by halving; only for a column that has one."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _fails(values.slice(low, middle - low), kind, missing) else (middle, high)
    return low


def _fails(values: Any, kind: Kind, missing: Sequence[str]) -> bool:
    try:
        to_floats(values, kind, missing)
    except pa.ArrowInvalid:
        return True
    return False


def refusal(batch: Batch, name: str, kind: Kind, missing: Sequence[str]) -> ConfigError:
    """What is wrong with a column that is not of its kind: file, line, column, value."""
    values = batch.columns[name]
    if not pa.types.is_string(values.type):
        return ConfigError(f"{batch.where(0)}: column '{name}' is {values.type}, not a {kind}")
    row = first_bad(values, kind, missing)
    number = list(batch.columns).index(name) + 1
    shown = values[row].as_py().strip()
    shown = cut(shown, 30)
    return ConfigError(f"{batch.where(row)} column {number} ({name}): '{shown}' is {WHAT[kind]}")


def encode(batch: Batch, columns: Sequence[Column], missing: Sequence[str], unknown: dict[str, set[str]]) -> Floats:
    """(rows, columns) float64. unknown: collects the categories that training has not seen. Raises ConfigError.

    A category beyond the levels is `other` where training had one, else -1: none of all.
    """
    matrix = np.empty((batch.num_rows, len(columns)), dtype=np.float64)
    for index, column in enumerate(columns):
        values = batch.columns[column.name]
        if column.kind == "category":
            matrix[:, index] = _codes(column, to_text(values, missing), unknown)
            continue
        try:
            numbers = to_floats(values, column.kind, missing)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise refusal(batch, column.name, column.kind, missing) from error
        numbers[np.isinf(numbers)] = np.nan
        matrix[:, index] = numbers
    return matrix


def _codes(column: Column, text: Any, unknown: dict[str, set[str]]) -> Floats:
    found = _numpy(pc.index_in(text, value_set=pa.array(column.levels, pa.string())))
    strange = np.isnan(found)
    nothing = strange & np.asarray(text.is_null())
    strange &= ~nothing
    found[strange] = len(column.levels) if column.other else -1
    found[nothing] = np.nan if column.missing else -1
    if strange.any() and not column.other and len(unknown.get(column.name, ())) < MOST_LEVELS:
        unknown.setdefault(column.name, set()).update(
            pc.unique(text.filter(pa.array(strange))).to_pylist()[:MOST_LEVELS]
        )
    return found


def schema_kind(field: Any) -> Kind:
    """What a Parquet column is. Raises ConfigError for one that is none of the kinds."""
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    if pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "category"
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return "number"
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return "date"
    raise ConfigError(
        f"column '{field.name}' is {kind}, which is no number, date or text", f"dataset.drop=[{field.name}]"
    )


def check_present(needed: Sequence[str], names: Sequence[str], where: str) -> None:
    """Raise ConfigError that names the columns that are missing."""
    lacking = [name for name in needed if name not in names]
    if lacking:
        near = did_you_mean(lacking[0], names)
        s = "s" * (len(lacking) > 1)
        shown = ", ".join(lacking[:8]) + (f" and {len(lacking) - 8} more" if len(lacking) > 8 else "")
        has = ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
        raise ConfigError(f"{where} has no column{s} {shown}.{near}", f"its columns: {has}")


def of_types(types: Mapping[str, str], names: Sequence[str], where: str) -> None:
    """Raise ConfigError for a typed column that is not there, or a type that is none."""
    check_present(list(types), names, where)
    for name, kind in types.items():
        if kind not in KINDS:
            raise ConfigError(
                f"dataset.types: {name} is no {kind}", f"'dataset.types={{{name}: number|date|category}}'"
            )
