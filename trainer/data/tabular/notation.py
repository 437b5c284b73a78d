"""Numbers and dates as people write them: a column of text in the notation of a dialect becomes numbers or times."""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from trainer.data.tabular.dialect import MARKS, Dialect

NUMBER = r"(?i)^[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf|infinity|nan)\s*%?$"
DATE = r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}"
DAY_FIRST = r"^(\d{1,2})[-/.](\d{1,2})[-/.]"
GROUPED = r"^[+-]?[1-9]\d{0,2}(\.\d{3})+$"  # points at the thousands, or a number with three decimals
UNMARKED = r"^[+-]?\d{1,3}$"  # a whole number that needs no such point
BEGINS = r"^[+-]?[$€£¥]?\s*[+-]?\d"
SOME = 2000  # texts of a batch that are compared with other notations
MOST = 0.9  # share of them that has to fit
FIRST = 64  # texts that are cast before the others: pyarrow words an error for each that cannot be


def pointed(text: Any, dialect: Dialect) -> Any:
    """Numbers in the dialect's notation with a decimal point and without marks of thousands. Other texts stay what they
    are, or become a text that is not a number either."""
    if dialect.thousands != "none":
        mark, point = (f"[{MARKS[word]}]" for word in (dialect.thousands, dialect.decimal))
        grouped = pc.match_substring_regex(text, rf"^[+-]?[1-9]\d{{0,2}}({mark}\d{{3}})+({point}\d*)?\s*%?$")
        text = pc.if_else(grouped, pc.replace_substring_regex(text, mark, ""), text)
    if dialect.decimal == "comma":
        text = pc.replace_substring(pc.replace_substring(text, ".", "#"), ",", ".")
    return text


def numbers(text: Any, dialect: Dialect) -> Any:
    """Text as float64; 45% is 45. Raises pa.ArrowInvalid for a text that is not a number."""
    text = pointed(text, dialect)
    try:
        return cast(text, pa.float64())
    except pa.ArrowInvalid:
        if not pc.any(pc.match_substring(text, "%")).as_py():
            raise
        return pc.replace_substring_regex(text, r"\s*%$", "").cast(pa.float64())


def timestamps(text: Any, dialect: Dialect) -> Any:
    """Text as timestamps, in UTC if it has time zones. Raises pa.ArrowInvalid for a text that is not a date."""
    first = next((value.as_py() for value in text if value.is_valid), None)
    if first is not None and not re.match(r"\d{1,4}[-/.]\d", first):
        raise pa.ArrowInvalid(f"{first!r} is not a date")
    if len(text) > FIRST:
        timestamps(text[:FIRST], dialect)  # raises for most columns that hold no dates
    text = year_first(text, dialect)
    try:
        return _timestamps(text)
    except pa.ArrowInvalid:
        for pattern, padded in (
            (r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})", r"\1-\2-\3"),
            (r"^(\d{4})-(\d)-", r"\1-0\2-"),
            (r"^(\d{4}-\d{2})-(\d)([ T]|$)", r"\1-0\2\3"),
            (r"^(\S{10})[ T](\d):", r"\1 0\2:"),
            (r"(\.\d{6})\d+", r"\1"),  # of a second; microseconds are what a float64 of days can hold
        ):
            text = pc.replace_substring_regex(text, pattern, padded)
        return _timestamps(text)


def year_first(text: Any, dialect: Dialect) -> Any:
    """Dates in the dialect's order as year, month and day. A year of two digits is one of 1969 to 2068, as in POSIX."""
    if dialect.dates == "iso":
        return text
    order = r"\2-\1" if dialect.dates == "dmy" else r"\1-\2"
    for year, century in ((r"(\d{4})", ""), (r"([0-5]\d|6[0-8])", "20"), (r"(\d{2})", "19")):
        text = pc.replace_substring_regex(text, DAY_FIRST + year + r"([ T]|$)", rf"{century}\3-{order}\4")
    return text


def _timestamps(text: Any) -> Any:
    try:
        return cast(text, pa.timestamp("us"))
    except pa.ArrowInvalid:
        return cast(text, pa.timestamp("us", "UTC"))


def cast(text: Any, kind: Any) -> Any:
    """Text as an Arrow type. Raises pa.ArrowInvalid, soon if one of the first values is not of the kind."""
    if len(text) > FIRST:
        text[:FIRST].cast(kind)
    return text.cast(kind)


@dataclass(frozen=True)
class Notation:
    """A notation that a column of text seems to have. remedy: what to type, or to do."""

    what: str
    remedy: str
    pattern: str


def _number(decimal: str, thousands: str) -> str:
    whole = r"\d+" if thousands == "none" else rf"(\d{{1,3}}|[1-9]\d{{0,2}}([{MARKS[thousands]}]\d{{3}})+)"
    return rf"^[+-]?{whole}([{MARKS[decimal]}]\d+)?\s*%?$"


@lru_cache
def _others(dialect: Dialect) -> tuple[Notation, ...]:
    """The notations that a column may have beside that of the dialect, the first that fits counts."""
    found = []
    for decimal, thousands, what in (
        ("comma", "point", "numbers with points at the thousands"),
        ("point", "none", "numbers with a decimal point"),
        ("point", "comma", "numbers with a comma at the thousands"),
        ("comma", "none", "numbers with a decimal comma"),
        ("comma", "point", "numbers with a decimal comma"),
        ("point", "space", "numbers with spaces at the thousands"),
        ("comma", "space", "numbers with a decimal comma"),
    ):
        keys = {"decimal": decimal, "thousands": thousands}
        remedy = " ".join(f"dataset.{key}={word}" for key, word in keys.items() if word != getattr(dialect, key))
        pattern = f"{GROUPED}|{UNMARKED}" if "points" in what else _number(decimal, thousands)
        found += [Notation(what, remedy, pattern)] if remedy else []
    day, month, year = r"(0?[1-9]|[12]\d|3[01])", r"(0?[1-9]|1[0-2])", r"(\d{4}|\d{2})([ T]|$)"
    for first, second, what, remedy in (
        (month, month, "dates, day or month first", "dataset.dates=dmy, or dataset.dates=mdy"),
        (day, month, "dates, day first", "dataset.dates=dmy"),
        (month, day, "dates, month first", "dataset.dates=mdy"),
    ):
        found.append(Notation(what, remedy, rf"^{first}[-/.]{second}[-/.]{year}"))
    money, amount = r"[$€£¥]", r"[+-]?[\d.,]+"
    sign = rf"^({amount}\s*{money}|[+-]?{money}\s*{amount})$"
    found.append(Notation("amounts of money", "numbers without the sign", sign))
    found.append(Notation("durations", "numbers, as seconds", r"^-?\d+ days?( [+-]?\d+:\d\d(:\d\d(\.\d+)?)?)?$"))
    return tuple(found)


def other_notation(text: Any, dialect: Dialect) -> Notation | None:
    """The notation that nearly all of some texts have, if it is not the dialect's. text: without missing values."""
    if total(pc.match_substring_regex(text, BEGINS)) < MOST * len(text):
        return None
    usual = pc.match_substring_regex(pointed(text, dialect), NUMBER)
    for notation in _others(dialect):
        fits = pc.match_substring_regex(text, notation.pattern)
        if total(fits) >= MOST * len(text) and total(pc.and_not(fits, usual)):
            return notation
    return None


def total(mask: Any) -> int:
    """The number of true values."""
    return pc.sum(mask).as_py() or 0
