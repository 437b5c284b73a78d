"""How the text of a table is read. Every run's preprocessing holds a dialect, so this file does not import pyarrow."""

import math
import re
from dataclasses import dataclass
from functools import cached_property

from trainer.errors import ConfigError
from trainer.terminal.spelling import closest

MISSING = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "NULL", "null", "None", "?")
MARKS = {"point": ".", "comma": ",", "space": " \u00a0\u202f"}  # the last two are spaces that do not break a line
WORDS = {
    "decimal": ("point", "comma"),
    "thousands": ("none", "point", "comma", "space"),
    "dates": ("iso", "dmy", "mdy"),
}


@dataclass(frozen=True)
class Dialect:
    """missing: the texts that count as a missing value, after trimming; an empty text always does. decimal, thousands,
    dates: the notation of numbers and dates, see WORDS. Raises ConfigError."""

    delimiter: str = "auto"
    encoding: str = "utf-8"
    missing: tuple[str, ...] = MISSING
    decimal: str = "point"
    thousands: str = "none"
    dates: str = "iso"

    def __post_init__(self) -> None:
        mark = self.delimiter
        if mark != "auto" and (len(mark) != 1 or not mark.isascii() or mark in '"\r\n'):
            raise ConfigError(f"dataset.delimiter={mark!r} is not one character", "dataset.delimiter=auto")
        try:
            "".encode(self.encoding)
        except (LookupError, ValueError) as error:
            raise ConfigError(f"dataset.encoding={self.encoding}: {error}", "dataset.encoding=cp1252") from error
        for name, words in WORDS.items():
            if getattr(self, name) not in words:
                value = getattr(self, name)
                text = f"dataset.{name}={value} is unknown: there are {', '.join(words)}"
                raise ConfigError(text, f"dataset.{name}={closest(value, words) or next(iter(words))}")
        if self.decimal == self.thousands:
            other = "comma" if self.decimal == "point" else "point"
            text = f"the {self.decimal} cannot be both the decimal mark and the mark of thousands"
            raise ConfigError(text, f"dataset.decimal={other} dataset.thousands={self.thousands}")

    @cached_property
    def missing_texts(self) -> tuple[str, ...]:
        """The texts that mean a missing value, the empty one among them."""
        return ("", *self.missing)

    @cached_property
    def missing_numbers(self) -> tuple[str, ...]:
        """Those that are numbers. They mean a value, however it is written: -999 is also -999.0."""
        return tuple(text for text in self.missing if re.fullmatch(r"[+-]?\d+(\.\d+)?", text))

    @cached_property
    def missing_values(self) -> tuple[float, ...]:
        """The values of all that reads as a number, such as 1e5: a number of another value is never missing."""
        return tuple(value for value in map(_number, self.missing) if value == value)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
