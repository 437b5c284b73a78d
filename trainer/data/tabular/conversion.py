"""One column of a table as text, or as float64. The rule: a text is judged by what it says, in CSV and in Parquet, and
a number, boolean or date of Parquet means what one canonical text of it would mean.

That text is the shortest one that reads back as the same value: 101 for 101.0, 0.1 for a float32 of 0.1, true, and
2026-11-25 10:30:00 without zeros at its end.
"""

import re
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainer.data.tabular import notation
from trainer.data.tabular.column import Kind
from trainer.data.tabular.dialect import Dialect

Floats = np.ndarray[Any, np.dtype[np.float64]]

SECONDS_PER_DAY = 86_400
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
LONGEST = 1e21  # from here on, whole numbers are written with an exponent
BLOCK = 4096  # float32 values at once: they and the candidates fit into the processor's cache
DIGITS = (9, 8, 7, 6)  # of a float32; fewer come out as zeros at the end
EXPONENTS = np.arange(-160, 140)  # of 2, of all float32 values
EXACT = (1e-12, 1e21)  # sizes between which all powers of ten below are exact
POWERS = [np.clip(digits - np.floor(EXPONENTS * np.log10(2)), -22, 22) for digits in DIGITS]
SCALES = [(10.0 ** np.maximum(power, 0), 10.0 ** np.maximum(-power, 0)) for power in POWERS]


def plain(values: Any) -> Any:
    """A column as it is read: dictionaries decoded, any kind of text as string, a column of type null too."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    kind = values.type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_null(kind):
        values = values.cast(pa.string())
    return values


def kind_of(kind: Any) -> Kind | Literal["text"] | None:
    """The kind of a column of an Arrow type; "text" says by its values. None for type null. Raises TypeError."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_null(kind):
        return None
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_boolean(kind) or pa.types.is_time(kind):
        return "category"
    if _is_number(kind):
        return "number"
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        return "date"
    raise TypeError(f"{kind}, which is neither a number, a date nor text")


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def to_text(values: Any, dialect: Dialect) -> Any:
    """A column as text, trimmed; null for what counts as missing."""
    kind = values.type
    if pa.types.is_floating(kind):
        coded = values.dictionary_encode()
        texts = [None if value != value else _float_text(value) for value in coded.dictionary.to_numpy()]
        values = pa.array(texts, pa.string()).take(coded.indices)
    elif pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        values = values.cast(pa.string())
        for pattern, short in ((r"(\.\d*[1-9])0+(Z?)$", r"\1\2"), (r"\.0+(Z?)$", r"\1"), (r" 00:00:00$", "")):
            values = pc.replace_substring_regex(values, pattern, short)
    trimmed = pc.utf8_trim_whitespace(values.cast(pa.string()))
    missing = pc.is_in(trimmed, value_set=pa.array(dialect.missing_texts, pa.string()))
    for number in dialect.missing_numbers:
        zeros = "0*" if "." in number else r"(\.0*)?"
        missing = pc.or_(missing, pc.match_substring_regex(trimmed, f"^{re.escape(number)}{zeros}$").fill_null(False))
    return pc.if_else(missing, None, trimmed)


def _float_text(value: Any) -> str:
    return str(int(value)) if float(value).is_integer() and abs(float(value)) < LONGEST else str(value)


def to_floats(values: Any, kind: Kind, dialect: Dialect) -> Floats:
    """Numbers, or dates as days since 1970, as float64 with NaN for missing ones. kind: number or date. Raises
    pa.ArrowInvalid for a value that is neither."""
    if pa.types.is_string(values.type):
        found = read(values, kind, dialect)
        return _days(found) if kind == "date" else _numpy(found)
    if pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        if kind == "date":
            return _days(values)
    elif kind == "number" and (_is_number(values.type) or pa.types.is_boolean(values.type)):
        floats = _floats(values)
        if dialect.missing_numbers:
            floats[np.isin(floats, np.array(dialect.missing_numbers, dtype=np.float64))] = np.nan
        return floats
    raise pa.ArrowInvalid(f"{values.type} is not a {kind}")


def read(values: Any, kind: Kind, dialect: Dialect) -> Any:
    """Text as a column of float64 or of timestamps, with null for missing values. kind: number or date. Raises
    pa.ArrowInvalid for a value that is neither."""
    plain = plain_numbers(values, dialect) if kind == "number" else None
    return parsed(to_text(values, dialect), kind, dialect) if plain is None else plain


def plain_numbers(values: Any, dialect: Dialect) -> Any:
    """Text as float64 by one cast, where each value is a number without blanks or marks, and none may be missing; None
    for other columns, which to_text has to look at."""
    if not pa.types.is_string(values.type) or dialect.decimal != "point":
        return None
    try:
        found = notation.cast(values, pa.float64())
    except pa.ArrowInvalid:
        return None
    doubtful = found.null_count or pc.any(pc.is_nan(found)).as_py() or may_be_missing(found, dialect)
    return None if doubtful else found


def may_be_missing(numbers: Any, dialect: Dialect) -> bool:
    """Whether one of some numbers equals one of dataset.missing. As the text 1e3 it need not be missing; as the number
    1000 it would be."""
    return any(pc.any(pc.equal(numbers, value)).as_py() for value in dialect.missing_values)


def parsed(text: Any, kind: Kind, dialect: Dialect) -> Any:
    """The same as `read`, of text from to_text."""
    return notation.timestamps(text, dialect) if kind == "date" else notation.numbers(text, dialect)


def is_missing(values: Any, dialect: Dialect) -> Any:
    """Whether each value is missing: (N,) bool."""
    if _is_number(values.type):
        return np.isnan(to_floats(values, "number", dialect))
    if plain_numbers(values, dialect) is not None:
        return np.zeros(len(values), dtype=bool)
    text = to_text(values, dialect) if pa.types.is_string(values.type) else values
    return pc.is_null(text).to_numpy(zero_copy_only=False)


def _numpy(values: Any) -> Floats:
    return np.array(values.to_numpy(zero_copy_only=False), dtype=np.float64)


def _floats(values: Any) -> Floats:
    kind = values.type
    if pa.types.is_float16(kind):
        coded = values.dictionary_encode()
        values = pa.array([float(str(value)) for value in coded.dictionary.to_numpy()], pa.float64()).take(
            coded.indices
        )
    elif pa.types.is_float32(kind):
        return shortest(np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float32))
    elif pa.types.is_decimal(kind):
        values = values.cast(pa.string())
    return _numpy(values.cast(pa.float64(), safe=False))


def shortest(values: np.ndarray[Any, np.dtype[np.float32]]) -> Floats:
    """float32 (N,) as the float64 of the shortest decimal text that reads back as the same float32: 0.1, and not
    0.10000000149. It has 6 to 9 digits."""
    result = np.empty(len(values), dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        for first in range(0, len(values), BLOCK):
            part = values[first : first + BLOCK]
            exact, place = part.astype(np.float64), np.frexp(part)[1] - EXPONENTS[0]
            best = exact.copy()
            for up, down in SCALES:
                candidate = np.rint(exact * up[place] / down[place]) * down[place] / up[place]
                np.copyto(best, candidate, where=candidate.astype(np.float32) == part)
            size = np.abs(exact)
            odd = np.flatnonzero((size > 0) & ((size < EXACT[0]) | (size > EXACT[1])))
            best[odd] = [float(str(value)) for value in part[odd]]
            result[first : first + BLOCK] = best
    return result


def _days(values: Any) -> Floats:
    """Dates and timestamps as days since 1970 in UTC, exact to the microsecond, for whole days exact."""
    kind = values.type
    present = pc.is_valid(values).to_numpy(zero_copy_only=False)
    if pa.types.is_date32(kind):
        counts, per_day = values.cast(pa.int32()), 1
    else:
        counts, per_day = values.cast(pa.int64()), SECONDS_PER_DAY * PER_SECOND[getattr(kind, "unit", "ms")]
    days, rest = np.divmod(counts.fill_null(0).to_numpy(zero_copy_only=False), per_day)
    if getattr(kind, "unit", "") == "ns":  # as text, with digits beyond the microsecond dropped
        rest, per_day = rest // 1000, per_day // 1000
    return np.where(present, days + rest / per_day, np.nan)
