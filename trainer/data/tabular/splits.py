"""A table as splits: in memory if it fits, else by row groups."""

from typing import Any

import torch
from torch import Tensor

from trainer.config.schema import Config
from trainer.config.schema import Loader as LoaderConfig
from trainer.data.loaders import InMemory, Loader, Workers, place
from trainer.data.splits import Splits, keep_in_memory
from trainer.data.table import Part, Prepared, Table, rows_of
from trainer.data.tabular.row_groups import RowGroups
from trainer.data.tensors import TensorData
from trainer.errors import ConfigError

MOST = 512 * 2**20  # bytes of a Parquet table, as float64, up to which in_memory=auto reads all of it


def table_splits(table: Table, prepared: Prepared, config: Config, device: torch.device, dtype: torch.dtype) -> Splits:
    """Put a loader over each part of a prepared table. Raises ConfigError."""
    preprocessing, streamed = prepared.preprocessing, _is_streamed(table, prepared, config.loader)
    facts, scale_y = preprocessing.facts, preprocessing.y
    if scale_y is not None:
        scale_y.to(device)

    def over(part: Part) -> Loader:
        if streamed:
            return RowGroups(part, preprocessing, device, dtype)
        x, y = rows_of(part, preprocessing)
        scale_x = preprocessing.of_table()[0].expand.to(device)
        if keep_in_memory([x, y], config.loader, device)[0]:
            return InMemory(x, y, scale_x, scale_y, device)
        data = TensorData(x, y, classes=facts.classes)
        return Workers(data, scale_x, scale_y, device, config.loader, config.seed)

    train, val, test = over(prepared.train), prepared.val, prepared.test
    files = table.source.files
    return Splits(
        name=files[0].name.partition(".")[0] or "table",
        source=files[0].name if len(files) == 1 else f"{len(files)} files",
        facts=facts,
        train=train,
        val=over(val) if val else None,
        test=over(test) if test else None,
        num_train=prepared.train.num_rows,
        num_val=val.num_rows if val else 0,
        num_test=test.num_rows if test else 0,
        loader_name=train.name,
        scale_y=scale_y,
        truth={},
        sample=_sample(train, prepared.train.num_rows, device, dtype),
        preprocessing=preprocessing,
        notes=prepared.notes,
        class_counts=prepared.class_counts,
    )


def _is_streamed(table: Table, prepared: Prepared, loader: LoaderConfig) -> bool:
    if table.source.text or loader.in_memory is True:
        return False
    is_large = 8 * len(prepared.train.roles) * len(table.source.names) > MOST
    if is_large and loader.num_workers > 0:
        raise ConfigError("a table that is read in parts cannot have workers", "loader.num_workers=0")
    return (loader.in_memory is False or is_large) and loader.num_workers == 0


def _sample(train: Loader, num_rows: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    if isinstance(train, Workers):
        data: Any = train.loader.dataset
        x, y = (place(rows[:2], device, dtype) for rows in (data.dataset.x, data.dataset.y))
        return train.scale_x(x), y if train.scale_y is None else train.scale_y(y)
    return train.load(next(iter(train.fetch([torch.arange(min(2, num_rows))], 0))))
