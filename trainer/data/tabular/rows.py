"""The rows of a table as tensors, each with the id that tells it from others."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.data import row_ids
from trainer.data.preprocessing import Preprocessing, TableFormat
from trainer.data.row_ids import Ids
from trainer.data.tabular import matrix
from trainer.data.tabular.conversion import Floats, to_text
from trainer.data.tabular.parts import Part
from trainer.data.tabular.source import Batch, Source, masked
from trainer.data.tabular.targets import targets_of
from trainer.data.tabular.unseen import Unseen


@dataclass(frozen=True)
class Rows:
    """Rows in memory. x: standardised as OneHot needs it; y: labels int64 or numbers float64."""

    x: Tensor
    y: Tensor
    ids: Ids


def read_rows(source: Source, keep: Any, preprocessing: Preprocessing) -> Rows:
    """The rows to keep. keep: (N,) bool, of all rows of the source."""
    inputs, _ = preprocessing.of_table()
    xs, ys, ids = [], [], []
    for raw, y, some in _batches(source, keep, preprocessing):
        xs.append(inputs.standardize(torch.from_numpy(raw)))
        ys.append(y)
        ids.append(some)
    return Rows(torch.cat(xs), torch.cat(ys), np.concatenate(ids))


def read_ids(source: Source, keep: Any, preprocessing: Preprocessing) -> Ids:
    """The ids of the rows to keep."""
    return np.concatenate([some for _, _, some in _batches(source, keep, preprocessing)])


def unseen_in(part: Part, preprocessing: Preprocessing) -> list[str]:
    """Lines about the categories in the rows of a part that training did not have."""
    (_, table), found = preprocessing.of_table(), Unseen()
    categories = [column for column in table.columns if column.kind == "category"]
    names = [column.name for column in categories]
    for batch, mask in masked(part.source.batches(names), part.roles == part.role) if names else ():
        matrix.encode(batch.only(mask, names), categories, table.dialect, found)
    return list(found.warnings())


def _batches(source: Source, keep: Any, preprocessing: Preprocessing) -> Iterator[tuple[Floats, Tensor, Ids]]:
    _, table = preprocessing.of_table()
    for batch, mask in masked(source.batches(table.names), keep):
        raw, y = matrix.encode(batch, table.columns, table.dialect, None), targets_of(batch, preprocessing)
        yield raw[mask], y[torch.from_numpy(mask)], ids_of(batch, raw, y, table)[mask]


def ids_of(batch: Batch, raw: Floats, y: Tensor, table: TableFormat) -> Ids:
    """The ids of the rows of a batch, from all columns that the run uses. raw, y: as encoded."""
    columns = {
        column.name: to_text(batch.columns[column.name], table.dialect) if column.kind == "category" else raw[:, index]
        for index, column in enumerate(table.columns)
    }
    targets = y.double().reshape(len(y), -1).numpy().T
    return row_ids.of_columns(columns | dict(zip(table.targets, targets, strict=True)))
