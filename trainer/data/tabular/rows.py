"""The rows of a table as tensors, each with the id that tells it from others."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.data import row_ids
from trainer.data.parts import Part
from trainer.data.preprocessing import Preprocessing
from trainer.data.row_ids import Ids
from trainer.data.tabular import matrix
from trainer.data.tabular.batch import Batch, chosen, masked
from trainer.data.tabular.conversion import Floats, to_text
from trainer.data.tabular.source import Source
from trainer.data.tabular.table_format import TableFormat
from trainer.data.tabular.targets import targets_of
from trainer.data.tabular.unseen import Unseen


@dataclass(frozen=True)
class Encoded:
    """Rows of a source in memory. keep: (N,) bool, which of all its rows they are; x: standardised as OneHot needs it;
    y: labels int64 or numbers float64."""

    keep: Any
    x: Tensor
    y: Tensor
    ids: Ids


def read_rows(source: Source, keep: Any, preprocessing: Preprocessing, unseen: Unseen | None = None) -> Encoded:
    """The rows to keep. keep: (N,) bool, of all rows of the source; unseen: counts what training did not have."""
    inputs, table = preprocessing.of_table()
    x = torch.empty(int(keep.sum()), len(table.columns), dtype=inputs.dtype)
    ys, ids, done = list[Tensor](), list[Ids](), 0
    for raw, y, some in _batches(source, keep, preprocessing, unseen):
        x[done : done + len(raw)] = inputs.standardize(torch.from_numpy(raw))
        ys.append(y)
        ids.append(some)
        done += len(raw)
    return Encoded(keep, x, torch.cat(ys), np.concatenate(ids))


def read_ids(source: Source, keep: Any, preprocessing: Preprocessing, unseen: Unseen | None = None) -> Ids:
    """The ids of the rows to keep."""
    return np.concatenate([some for _, _, some in _batches(source, keep, preprocessing, unseen)])


def unseen_in(part: Part[Source], preprocessing: Preprocessing) -> Unseen:
    """What the rows of a part hold that training did not have. It reads them once more."""
    (_, table), found = preprocessing.of_table(), Unseen()
    for batch, mask in masked(part.data.batches(table.names), part.roles == part.role):
        matrix.encode(chosen(batch, mask), table.columns, table.dialect, found)
    return found


def _batches(
    source: Source, keep: Any, preprocessing: Preprocessing, unseen: Unseen | None
) -> Iterator[tuple[Floats, Tensor, Ids]]:
    _, table = preprocessing.of_table()
    for batch, mask in masked(source.batches(table.names), keep):
        rows = chosen(batch, mask)
        raw, y = matrix.encode(rows, table.columns, table.dialect, unseen), targets_of(rows, preprocessing)
        yield raw, y, ids_of(rows, raw, y, table)


def ids_of(batch: Batch, raw: Floats, y: Tensor, table: TableFormat) -> Ids:
    """The ids of the rows of a batch, from all columns that the run uses. raw, y: as encoded."""
    columns = {
        column.name: to_text(batch.columns[column.name], table.dialect) if column.kind == "category" else raw[:, index]
        for index, column in enumerate(table.columns)
    }
    targets = y.double().reshape(len(y), -1).numpy().T
    return row_ids.of_columns(columns | dict(zip(table.targets, targets, strict=True)))
