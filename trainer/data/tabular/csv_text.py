"""CSV as bytes: checked, and cut into blocks of complete records with their line numbers.

pyarrow accepts too much: an unclosed quote, a NUL, text after a closing quote. Here, whatever violates RFC 4180 is an
error with line and column, before it can shift a value into another column.
"""

import codecs
import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import BinaryIO

import numpy as np

from trainer.errors import ConfigError

BLOCK = 4 * 2**20  # bytes read at once
LONGEST = 16 * 2**20  # bytes of a record; more means a quote that is never closed
DELIMITERS = ",;\t|"
SEPARATOR = re.compile(rb"sep=([,;|\t])\r?\n")  # a first line with which Excel says how values are separated
LF, CR, QUOTE = 10, 13, 34


@dataclass(frozen=True)
class Block:
    """Complete records, UTF-8. first_line: the number of their first line in the file, from 1; num_lines: how many."""

    data: bytes
    first_line: int
    num_lines: int


@dataclass(frozen=True)
class Head:
    """The first record: the trimmed names of the columns, and the separator of values."""

    names: list[str]
    delimiter: str


def read(stream: BinaryIO, name: str, delimiter: str, encoding: str) -> tuple[Head, Iterator[Block]]:
    """The header and the blocks after it. delimiter: one character or `auto`. Raises ConfigError, now or later."""
    chunks = _recoded(_chunks(stream, name), name, encoding)
    first = next(chunks, b"")
    if not first.strip():
        raise ConfigError(f"{name} is empty")
    if b"\n" not in first and b"\r" in first:
        raise ConfigError(
            f"{name} has the line endings of an old Mac (carriage returns)", f"convert it: mac2unix {name}"
        )
    _check_bytes(first, name, 1, cut=True)
    mark = SEPARATOR.match(first)
    if mark is not None:
        first = b"\n" + first[mark.end() :]
        delimiter = mark[1].decode() if delimiter == "auto" else delimiter
    head, size, lines = _head(first, name, delimiter)
    return head, _blocks(first[size:], chunks, name, head.delimiter, 1 + lines)


def _chunks(stream: BinaryIO, name: str) -> Iterator[bytes]:
    try:
        yield from iter(partial(stream.read, BLOCK), b"")
    except (EOFError, OSError) as error:  # also for a gzip file that ends early, or is not one
        raise ConfigError(f"{name} cannot be read: {error}") from error


def _recoded(chunks: Iterator[bytes], name: str, encoding: str) -> Iterator[bytes]:
    """The same text in UTF-8, without a byte order mark."""
    first = next(chunks, b"")
    if first[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) and encoding == "utf-8":
        raise ConfigError(f"{name} is UTF-16, not UTF-8", "dataset.encoding=utf-16")
    if encoding == "utf-8":
        yield first.removeprefix(codecs.BOM_UTF8)
        yield from chunks
        return
    try:
        for text in codecs.iterdecode(chain([first], chunks), encoding):
            yield text.encode()
    except UnicodeError as error:
        raise ConfigError(f"{name} is not {encoding}: {error}", "dataset.encoding=NAME") from error


def _head(first: bytes, name: str, delimiter: str) -> tuple[Head, int, int]:
    """The header, its size in bytes and its number of lines, with any empty lines before it."""
    text = first.decode(errors="replace")
    if delimiter == "auto":
        line = next((line for line in text.splitlines() if line.strip()), "")
        bare = "".join(line.split('"')[::2])  # the text outside quotes
        delimiter = max(DELIMITERS, key=lambda mark: (bare.count(mark), -DELIMITERS.index(mark)))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        names = next(row for row in reader if row)
    except (csv.Error, StopIteration) as error:
        raise ConfigError(f"{name} line 1: the header cannot be read: {error}") from error
    lines, raw = reader.line_num, io.BytesIO(first)
    size = sum(len(raw.readline()) for _ in range(lines))
    _check_quotes(first[:size], name, 1, delimiter)
    names = [column.strip() for column in names]
    for number, column in enumerate(names, 1):
        if not column and (number > 1 or len(names) == 1):  # pandas and R write an index without a name, first
            text = f"{name} line {lines}: column {number} has no name"
            raise ConfigError(text, "name every column in the first line")
        if (before := names.index(column) + 1) < number:
            raise ConfigError(f"{name} line {lines}: columns {before} and {number} are both named '{column}'")
    try:
        list(map(float, names))
    except ValueError:
        return Head(names, delimiter), size, lines
    text = f"{name} line {lines} holds numbers ({', '.join(names)[:30]}) instead of the names of columns"
    raise ConfigError(text, "put a header line first")


def _blocks(rest: bytes, chunks: Iterator[bytes], name: str, delimiter: str, line: int) -> Iterator[Block]:
    """Blocks of complete records. A record ends at a line feed outside quotes."""
    for chunk in chain(chunks, [b""]):
        rest += chunk
        size = _complete(rest) if chunk else len(rest)
        if size:
            data, rest = rest[:size], rest[size:]
            _check_bytes(data, name, line)
            _check_quotes(data, name, line, delimiter)
            ends = np.count_nonzero(np.frombuffer(data, dtype=np.uint8) == LF)
            num_lines = int(ends) + (not data.endswith(b"\n"))
            yield Block(data, line, num_lines)
            line += num_lines
        elif len(rest) > LONGEST:
            raise _unclosed(rest, name, line)


def _complete(data: bytes) -> int:
    """The size of the complete records at the start, in bytes."""
    if b'"' not in data:
        return data.rfind(b"\n") + 1
    values = np.frombuffer(data, dtype=np.uint8)
    quotes, ends = np.flatnonzero(values == QUOTE), np.flatnonzero(values == LF)
    outside = ends[np.searchsorted(quotes, ends) % 2 == 0]
    return int(outside[-1]) + 1 if len(outside) else 0


def _check_bytes(data: bytes, name: str, line: int, *, cut: bool = False) -> None:
    """Raise ConfigError for a NUL, and for bytes that are not UTF-8. cut: the last character may be incomplete."""
    if (at := data.find(b"\0")) >= 0:
        raise ConfigError(f"{_place(data, at, name, line)}: a NUL byte; the file is not text, or is UTF-16")
    if data.isascii():
        return
    try:
        data.decode()
    except UnicodeDecodeError as error:
        if cut and error.reason == "unexpected end of data":
            return
        text = f"{_place(data, error.start, name, line)}: byte 0x{data[error.start]:02x} is not UTF-8"
        raise ConfigError(text, "dataset.encoding=cp1252") from error


def _check_quotes(data: bytes, name: str, line: int, delimiter: str) -> None:
    """Raise ConfigError for a quote that RFC 4180 does not allow, and for a carriage return inside a line."""
    if b'"' not in data and b"\r" not in data:
        return
    values = np.frombuffer(data, dtype=np.uint8)
    quotes = np.flatnonzero(values == QUOTE)
    beside = [ord(delimiter), LF, CR, QUOTE]
    around = np.pad(values, 1, constant_values=LF)  # around[i] is before values[i], around[i + 2] after it
    opening, closing = quotes[::2], quotes[1::2]
    wrong = opening[~np.isin(around[opening], beside)]
    late = closing[~np.isin(around[closing + 2], beside)]
    if len(wrong) and not (len(late) and late[0] < wrong[0]):
        text = f"{_place(data, int(wrong[0]), name, line)}: a quote inside a value that is not quoted"
        raise ConfigError(text, 'put the value into quotes and double the quote inside: "a ""b"" c"')
    if len(late):
        opened = int(quotes[np.searchsorted(quotes, late[0]) - 1])
        closed = _place(data, int(late[0]), name, line)
        raise ConfigError(f"{closed}: text after a closing quote; {_place(data, opened, name, line)} opened it")
    if len(quotes) % 2:
        raise _unclosed(data, name, line)
    returns = np.flatnonzero(values == CR)
    lone = returns[around[returns + 2] != LF]
    lone = lone[np.searchsorted(quotes, lone) % 2 == 0]
    if len(lone):
        raise ConfigError(f"{_place(data, int(lone[0]), name, line)}: a carriage return in the middle of a line")


def _unclosed(data: bytes, name: str, line: int) -> ConfigError:
    quotes = np.flatnonzero(np.frombuffer(data, dtype=np.uint8) == QUOTE)
    return ConfigError(f"{_place(data, int(quotes[len(quotes) - 1 & ~1]), name, line)}: a quote that is never closed")


def _place(data: bytes, at: int, name: str, line: int) -> str:
    """The place of a byte as 'FILE line 3 character 5'."""
    begin, above = data.rfind(b"\n", 0, at) + 1, data.count(b"\n", 0, at)
    return f"{name} line {line + above} character {len(data[begin:at].decode(errors='replace')) + 1}"
