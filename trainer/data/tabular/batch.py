"""Some rows of a table, as they are read."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from trainer.data.tabular import conversion
from trainer.data.tabular.column import Kind
from trainer.data.tabular.dialect import Dialect


@dataclass(frozen=True)
class Batch:
    """Some rows. columns: {name: values}, all of one length. where(row): 'FILE line 12', for messages."""

    columns: dict[str, Any]
    num_rows: int
    where: Callable[[int], str]


def settle(batch: Batch, kinds: Mapping[str, Kind], dialect: Dialect) -> None:
    """Let columns of text hold numbers and dates. Where a text is none, or might mean another number than its own, all
    stays text, for who reads it later and words the message."""
    for name, kind in kinds.items():
        if kind != "category" and pa.types.is_string(batch.columns[name].type):
            with suppress(pa.ArrowInvalid):
                found = conversion.read(batch.columns[name], kind, dialect)
                if kind == "date" or not conversion.may_be_missing(found, dialect):
                    batch.columns[name] = found


def masked(batches: Iterable[Batch], keep: Any) -> Iterator[tuple[Batch, Any]]:
    """The batches that have rows to keep, each with its part of `keep`, a bool for each row of all batches."""
    first = 0
    for batch in batches:
        rows = keep[first : first + batch.num_rows]
        first += batch.num_rows
        if rows.any():
            yield batch, rows


def chosen(batch: Batch, mask: Any) -> Batch:
    """The rows of a batch where `mask` is true; `where` still names their places in the file."""
    if mask.all():
        return batch
    index, keep = np.flatnonzero(mask), pa.array(mask)
    columns = {name: values.filter(keep) for name, values in batch.columns.items()}
    return Batch(columns, len(index), lambda row: batch.where(int(index[row])))
