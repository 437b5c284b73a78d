"""Where predictions go: CSV, TSV, either gzipped, or Parquet, batch by batch, in a file or on standard output."""

import csv
import gzip
import io
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet

from trainer.disk import storage
from trainer.errors import ConfigError

ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".pq")


class Sink(Protocol):
    """Takes columns of the same length and names, again and again."""

    def write(self, columns: Mapping[str, Any]) -> None: ...


@contextmanager
def open_sink(out: str | None) -> Iterator[Sink]:
    """The format is that of the name's ending; None is CSV on standard output. A file appears whole or not at all."""
    if out is None:
        yield Text(sys.stdout.buffer, ",")
        sys.stdout.buffer.flush()
        return
    path = check_name(out)
    with storage.new_file(path) as stream:
        if path.name.endswith((".parquet", ".pq")):
            sink = Parquet(cast(BinaryIO, stream))
            try:
                yield sink
            finally:
                sink.close()  # after an error too: it would write its end later, when there is no file
            return
        zipped = gzip.GzipFile(fileobj=stream, mode="wb", filename="", mtime=0) if path.suffix == ".gz" else None
        yield Text(cast(BinaryIO, zipped or stream), "\t" if ".tsv" in path.name else ",")
        if zipped is not None:
            zipped.close()


def check_name(out: str) -> Path:
    """Where to write. Raises ConfigError for a name without a known ending, or in a folder that is not there."""
    path = Path(out).expanduser()
    if not path.name.endswith(ENDINGS):
        raise ConfigError(f"-o {out}: its ending names no format", f"-o NAME{'|'.join(ENDINGS)}")
    if not path.parent.is_dir():
        raise ConfigError(f"-o {out}: there is no folder {path.parent}", f"mkdir -p {path.parent}")
    if path.is_dir():
        raise ConfigError(f"-o {out} is a folder", f"-o {out}/predictions.csv")
    return path


class Text:
    """CSV as RFC 4180 has it, with line feeds; values in quotes only where they need them."""

    def __init__(self, stream: BinaryIO, delimiter: str) -> None:
        self.stream, self.delimiter, self.begun = stream, delimiter, False
        self.special = '["\r\n' + delimiter + "]"

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows, after a header the first time."""
        if not self.begun:
            self._write_rows([list(columns)])
            self.begun = True
        texts = [values for values in columns.values() if pa.types.is_string(values.type)]
        if any(pc.any(pc.match_substring_regex(values, self.special)).as_py() for values in texts) or _alone(columns):
            self._write_rows(zip(*(values.to_pylist() for values in columns.values()), strict=True))
            return
        options = pyarrow.csv.WriteOptions(include_header=False, delimiter=self.delimiter, quoting_style="none")
        buffer = pa.BufferOutputStream()
        pyarrow.csv.write_csv(pa.table(dict(columns)), buffer, options)
        self.stream.write(buffer.getvalue())

    def _write_rows(self, rows: Any) -> None:
        text = io.StringIO()
        csv.writer(text, delimiter=self.delimiter, lineterminator="\n").writerows(rows)
        self.stream.write(text.getvalue().encode())


def _alone(columns: Mapping[str, Any]) -> bool:
    """Whether a row could be an empty line, which is no row."""
    return len(columns) == 1


class Parquet:
    """One row group a batch."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.writer: Any = None

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows."""
        table = pa.table(dict(columns))
        if self.writer is None:
            self.writer = pyarrow.parquet.ParquetWriter(self.stream, table.schema)
        self.writer.write_table(table)

    def close(self) -> None:
        """Write the footer."""
        if self.writer is not None:
            self.writer.close()
