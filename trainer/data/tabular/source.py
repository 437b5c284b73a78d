"""Rows of one or more table files, in batches and always in the same order: CSV, TSV, either gzipped, or Parquet.

Values of CSV are text, Parquet has types; conversion.py gives both one meaning.
"""

import csv
import gzip
import io
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from trainer.data import digests
from trainer.data.digests import Digest, Digesting
from trainer.data.paths import find
from trainer.data.tabular import conversion, csv_text, typed
from trainer.data.tabular.batch import Batch, settle
from trainer.data.tabular.column import Kind
from trainer.data.tabular.csv_text import Block, Head
from trainer.data.tabular.dialect import Dialect
from trainer.data.tabular.read_ahead import read_ahead
from trainer.errors import ConfigError
from trainer.text import counted, first_line

INDEX = re.compile(r"|Unnamed: 0|__index_level_\d+__")  # how pandas names an index that has no name
BATCH = 65_536  # rows of Parquet at once
KEPT = 128 * 2**20  # bytes of CSV up to which parsed rows are kept for the next pass


class Source:
    """Table files with the same columns. names: of the columns; index: those of them that are pandas' index; text:
    whether values are text."""

    in_memory = False  # whether the rows are there without a file

    def __init__(self, path: str | Sequence[str], dialect: Dialect) -> None:
        self.dialect = dialect
        self.files = [Path("-")] if path == "-" else find(path)
        self.text = not is_parquet(self.files[0])
        self.kept: list[Batch] | None = None
        self.digests: dict[Path, Digest] = {}  # of text files, once they have been read
        levels: Sequence[Any] = ()
        if any(is_parquet(file) == self.text for file in self.files):
            raise ConfigError(f"{path} matches both Parquet and text files: choose one kind")
        if self.text:
            with self._open(self.files[0]) as stream:
                self.first = self._read(self.files[0], stream)
            self.names, self.delimiter = self.first[0].names, self.first[0].delimiter
        else:
            schema = open_parquet(self.files[0]).schema_arrow
            self.names, self.delimiter = list(schema.names), ""
            levels = (schema.pandas_metadata or {}).get("index_columns", [])
            if twice := [name for name in self.names if self.names.count(name) > 1]:
                raise ConfigError(f"{self.files[0]}: two columns are both named '{twice[0]}'")
        self.index = [name for name in self.names if INDEX.fullmatch(name) or name in levels]

    def batches(self, only: Sequence[str] | None = None) -> Iterator[Batch]:
        """All rows; of Parquet, only the columns `only`. Standard input can be read once. Raises ConfigError."""
        if self.kept is not None:
            yield from self.kept
            return
        size = sum(file.stat().st_size for file in self.files) if self.files != [Path("-")] else KEPT + 1
        keep: list[Batch] | None = [] if self.text and size <= KEPT else None
        for file in self.files:
            for batch in self._text_batches(file) if self.text else self._parquet_batches(file, only):
                if keep is not None:
                    keep.append(batch)
                yield batch
        self.kept = keep

    def forget(self) -> None:
        """Give back the memory of the rows that are kept; the next pass reads the files again."""
        if self.kept is not None:
            self.kept = None
            pa.default_memory_pool().release_unused()

    def settle(self, kinds: Mapping[str, Kind]) -> None:
        """Of the rows that are kept, let columns of text hold numbers and dates, so that each is cast once."""
        for batch in self.kept or []:
            settle(batch, kinds, self.dialect)

    def kinds(self, names: Sequence[str]) -> dict[str, Kind]:
        """The kinds of columns by their types in Parquet; without those that are text in a file, or of two kinds.
        Raises ConfigError for a column that is neither a number, a date nor text."""
        found: dict[str, set[Any]] = {name: set() for name in names}
        for schema in self.schemas():
            for field in schema:
                try:
                    if field.name in found and (kind := conversion.kind_of(field.type)) is not None:
                        found[field.name].add(kind)
                except TypeError as error:
                    raise ConfigError(f"column '{field.name}' is {error}", typed.texts("drop", [field.name])) from error
        return {name: next(iter(kinds)) for name, kinds in found.items() if len(kinds) == 1 and "text" not in kinds}

    def schemas(self) -> list[Any]:
        """The types of columns that have some: of each file of Parquet."""
        return [] if self.text else [open_parquet(file).schema_arrow for file in self.files]

    def size(self, file: Path) -> int:
        """The size of a file, in bytes."""
        return file.stat().st_size

    def digest(self, file: Path) -> Digest:
        """The digest of all bytes of a file; of text after it has been read."""
        if file not in self.digests:
            self.digests[file] = digests.of_file(file)
        return self.digests[file]

    @contextmanager
    def _open(self, file: Path) -> Iterator[BinaryIO]:
        """Open a text file, whose bytes are digested if all of them are read."""
        if str(file) == "-":
            yield sys.stdin.buffer
            return
        with file.open("rb") as plain:
            stream = Digesting(plain)
            yield gzip.GzipFile(fileobj=stream) if file.suffix == ".gz" else stream  # type: ignore
            if stream.ended:
                self.digests[file] = stream.digest

    def _read(self, file: Path, stream: BinaryIO) -> tuple[Head, Iterator[Block]]:
        delimiter = self.dialect.delimiter
        if delimiter == "auto" and file.name.removesuffix(".gz").endswith((".tsv", ".tab")):
            delimiter = "\t"
        return csv_text.read(stream, label(file), delimiter, self.dialect.encoding)

    def _text_batches(self, file: Path) -> Iterator[Batch]:
        parsed = self._parsed(file)
        return read_ahead(parsed) if file.is_file() else parsed

    def _parsed(self, file: Path) -> Iterator[Batch]:
        with self._open(file) as stream:
            head, blocks = self.first if str(file) == "-" else self._read(file, stream)
            self._check_names(head.names, file)
            for block in blocks:
                batch = parse(block, head, label(file))
                if batch.num_rows:
                    yield batch

    def _parquet_batches(self, file: Path, only: Sequence[str] | None) -> Iterator[Batch]:
        parquet = open_parquet(file)
        self._check_names(parquet.schema_arrow.names, file)
        first = 0
        for number in range(parquet.num_row_groups):
            yield from group_batches(parquet, number, only, label(file), first)
            first += parquet.metadata.row_group(number).num_rows

    def _check_names(self, names: Sequence[str], file: Path) -> None:
        if set(names) != set(self.names):
            other = sorted(set(names) ^ set(self.names))
            text = f"{label(file)} and {label(self.files[0])} do not have the same columns"
            raise ConfigError(f"{text}: only one of them has {', '.join(other[:5])}")


def group_batches(
    parquet: Any, number: int, only: Sequence[str] | None, name: str, first: int, size: int = BATCH
) -> Iterator[Batch]:
    """The rows of a row group, which begins at row `first` of its file, up to `size` at a time."""
    try:
        for batch in parquet.iter_batches(size, [number], None if only is None else list(only), use_threads=False):
            columns = {field: conversion.plain(batch.column(i)) for i, field in enumerate(batch.schema.names)}
            yield Batch(columns, batch.num_rows, lambda row, first=first: f"{name} row {first + row + 1}")  # type: ignore[misc]
            first += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"{name} row group {number}: {first_line(error)}") from error


def parse(block: Block, head: Head, name: str) -> Batch:
    """A block of CSV as columns of text. Raises ConfigError for a row that is too short or too long."""
    size = max(len(block.data) + 1, 1024)
    try:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(block.data),
            pyarrow.csv.ReadOptions(column_names=head.names, use_threads=False, block_size=size),
            pyarrow.csv.ParseOptions(delimiter=head.delimiter, newlines_in_values=True),
            pyarrow.csv.ConvertOptions(
                check_utf8=False,  # csv_text has
                column_types=dict.fromkeys(head.names, pa.string()),
                strings_can_be_null=False,
            ),
        )
    except pa.ArrowInvalid as error:
        for line, values in _records(block, head.delimiter):
            if len(values) != len(head.names):
                num_values, num_columns = counted(len(values), "value"), counted(len(head.names), "column")
                text = f"{name} line {line}: {num_values}, the header has {num_columns}"
                raise ConfigError(text, "put a value that holds the separator into quotes") from error
        raise ConfigError(f"{name} from line {block.first_line}: {first_line(error)}") from error
    columns = dict(zip(head.names, map(_one_chunk, table.columns), strict=True))
    if b'"' not in block.data and block.num_lines == table.num_rows:  # each line is a record: the bytes need not stay
        first = block.first_line
        return Batch(columns, table.num_rows, lambda row: f"{name} line {first + row}")
    return Batch(columns, table.num_rows, lambda row: f"{name} line {line_of(block, head.delimiter, row)}")


def _one_chunk(column: Any) -> Any:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()  # which copies


def _records(block: Block, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """(line on which it begins, values) of each record that is not an empty line."""
    reader = csv.reader(io.StringIO(block.data.decode(), newline=""), delimiter=delimiter, strict=True)
    line = block.first_line
    for row in reader:
        if row:
            yield line, row
        line = block.first_line + reader.line_num


def line_of(block: Block, delimiter: str, row: int) -> int:
    """The line on which a row of a block begins."""
    return next(islice(_records(block, delimiter), row, None))[0]


def is_parquet(file: Path) -> bool:
    """Whether a file is Parquet, by its name, else by its first bytes."""
    if file.suffix in (".parquet", ".pq"):
        return True
    if str(file) == "-" or file.suffix in (".csv", ".tsv", ".gz", ".txt"):
        return False
    with file.open("rb") as stream:
        return stream.read(4) == b"PAR1"


def label(file: Path) -> str:
    """How messages name a file."""
    return "standard input" if str(file) == "-" else str(file)


def open_parquet(file: Path) -> Any:
    try:
        return pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=2**20)
    except (pa.ArrowException, OSError) as error:
        raise ConfigError(f"{file} is not a Parquet file: {first_line(error)}") from error
