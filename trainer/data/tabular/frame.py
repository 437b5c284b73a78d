"""The rows of a table in memory: pandas, polars or Arrow."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import xxhash

from trainer.data import digests
from trainer.data.digests import Digest
from trainer.data.tabular import conversion
from trainer.data.tabular.batch import Batch
from trainer.data.tabular.dialect import Dialect
from trainer.data.tabular.source import BATCH, INDEX, Source
from trainer.errors import ConfigError
from trainer.text import first_line


def to_arrow(frame: Any) -> Any:
    """A table of pandas, polars or Arrow as one of Arrow, without pandas' index. Raises ConfigError."""
    try:
        if isinstance(frame, pa.Table):
            return frame
        return frame.to_arrow() if hasattr(frame, "to_arrow") else pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        hint = "columns of numbers, text or dates, each of one kind"
        raise ConfigError(f"the {type(frame).__name__} cannot be read: {first_line(error)}", hint) from error


class FrameSource(Source):
    """A table of Arrow. It has no file: `files` holds what messages call it."""

    in_memory = True

    def __init__(self, table: Any, name: str, dialect: Dialect) -> None:
        self.dialect, self.table, self.files = dialect, table, [Path(name)]
        self.text, self.delimiter, self.kept, self.names = False, "", None, list(table.column_names)
        self.index = [column for column in self.names if INDEX.fullmatch(column)]
        if twice := [column for column in self.names if self.names.count(column) > 1]:
            raise ConfigError(f"{name}: two columns are both named '{twice[0]}'")

    def batches(self, only: Sequence[str] | None = None) -> Iterator[Batch]:
        """All rows, of the columns `only`."""
        first, name = 0, self.files[0].name
        for batch in self.table.select(self.names if only is None else only).to_batches(BATCH):
            columns = {field: conversion.plain(batch.column(i)) for i, field in enumerate(batch.schema.names)}
            yield Batch(columns, batch.num_rows, lambda row, first=first: f"{name} row {first + row}")  # type: ignore[misc]
            first += batch.num_rows

    def schemas(self) -> list[Any]:
        return [self.table.schema]

    def size(self, file: Path) -> int:
        """The size of the table as CSV, in bytes."""
        return self._written.size

    def digest(self, file: Path) -> Digest:
        """The digest of the table as CSV, so that it depends on the values and not on how they lie in memory."""
        return digests.halves(self._written.state)

    @cached_property
    def _written(self) -> "_Sink":
        sink = _Sink()
        for batch in self.table.to_batches(BATCH):
            columns = [conversion.plain(column) for column in batch.columns]
            pyarrow.csv.write_csv(pa.table(columns, self.names), sink)
        return sink


class _Sink:
    """A file that keeps the size and the digest of what is written."""

    closed = False

    def __init__(self) -> None:
        self.size, self.state = 0, xxhash.xxh3_128()

    def write(self, data: bytes) -> None:
        self.size += len(data)
        self.state.update(data)
