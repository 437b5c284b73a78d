"""Writes predictions batch by batch: CSV or TSV, gzipped or not, or Parquet; to a file or to standard output."""

import gzip
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from trainer.disk import storage
from trainer.errors import ConfigError
from trainer.inference import array_file
from trainer.text import cleaned, csv_lines

ENDINGS = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".pq", *array_file.ENDINGS)


@contextmanager
def open_sink(out: str | None) -> Iterator["DelimitedText | Parquet"]:
    """Open a sink in the format of the name's ending; None is CSV on standard output. The file appears only when it is
    complete."""
    if out is None:
        yield DelimitedText(sys.stdout.buffer, ",", clean=sys.stdout.isatty())
        sys.stdout.buffer.flush()
        return
    path = check_name(out)
    with storage.new_file(path) as stream:
        if path.name.endswith((".parquet", ".pq")):
            sink = Parquet(cast(BinaryIO, stream))
            try:
                yield sink
            finally:
                sink.close()  # after an error too: otherwise it writes its footer later, to a closed file
            return
        zipped = gzip.GzipFile(fileobj=stream, mode="wb", filename="", mtime=0) if path.suffix == ".gz" else None
        yield DelimitedText(cast(BinaryIO, zipped or stream), "\t" if ".tsv" in path.name else ",")
        if zipped is not None:
            zipped.close()


def check_name(out: str) -> Path:
    """The path to write to. Raises ConfigError for an unknown ending or a missing folder."""
    path = Path(out).expanduser()
    if not path.name.endswith(ENDINGS):
        raise ConfigError(
            f"-o {out}: unknown ending; there are {', '.join(ENDINGS)}", f"-o {shlex.quote(f'{out}.csv')}"
        )
    if not path.parent.is_dir():
        raise ConfigError(f"-o {out}: there is no folder {path.parent}", f"mkdir -p {shlex.quote(str(path.parent))}")
    if path.is_dir():
        raise ConfigError(f"-o {out} is a folder", f"-o {shlex.quote(f'{out}/predictions.csv')}")
    return path


class DelimitedText:
    """CSV or TSV as in RFC 4180, but with line feeds; values are quoted only where necessary. clean: for a terminal,
    which obeys some characters; elsewhere every value keeps its exact words."""

    def __init__(self, stream: BinaryIO, delimiter: str, *, clean: bool = False) -> None:
        self.stream, self.delimiter, self.clean, self.begun = stream, delimiter, clean, False

    def write(self, columns: Mapping[str, Any]) -> None:
        """Append rows, after a header the first time."""
        if not self.begun:
            self._write_rows([list(columns)])
            self.begun = True
        # In one column, an empty value would be an empty line, not a row.
        if not self.clean and len(columns) > 1 and all(_is_plain(values.type) for values in columns.values()):
            options = pyarrow.csv.WriteOptions(include_header=False, delimiter=self.delimiter, quoting_style="none")
            buffer = pa.BufferOutputStream()
            try:
                pyarrow.csv.write_csv(pa.table(dict(columns)), buffer, options)
            except pa.ArrowInvalid:  # a value needs quotes
                pass
            else:
                self.stream.write(buffer.getvalue())
                return
        self._write_rows(zip(*map(_texts, columns.values()), strict=True))

    def _write_rows(self, rows: Any) -> None:
        if self.clean:
            rows = ([cleaned(value) if isinstance(value, str) else value for value in row] for row in rows)
        self.stream.write(csv_lines(rows, self.delimiter).encode())


def _is_plain(kind: Any) -> bool:
    """Whether pyarrow writes values of this type into a CSV itself."""
    return not (pa.types.is_nested(kind) or pa.types.is_dictionary(kind) or pa.types.is_binary(kind))


def _texts(values: Any) -> list[Any]:
    """Values as write_csv writes them: a float32 of 0.1 is 0.1, and not 0.10000000149. Others as Python shows them."""
    try:
        return values.cast(pa.string()).to_pylist()  # type: ignore[no-any-return]
    except pa.ArrowException:  # lists, or bytes that are not text
        return values.to_pylist()  # type: ignore[no-any-return]


class Parquet:
    """Parquet, with one row group for each batch."""

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
