"""A table as splits: whole in memory where it fits, else by row groups."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainer.config.schema import Loader as LoaderConfig
from trainer.data.loaders import InMemory, Loader, Workers, place
from trainer.data.preprocessing import Preprocessing
from trainer.data.splits import Splits, keep_in_memory
from trainer.data.table import Part, Prepared, Table, rows_of
from trainer.data.tabular.row_groups import RowGroups
from trainer.data.tensors import TensorData
from trainer.errors import ConfigError

MOST = 512 * 2**20  # bytes of a Parquet table, as float64, up to which in_memory=auto reads it whole


def table_splits(
    table: Table,
    node: Mapping[str, Any],
    loader: LoaderConfig,
    device: torch.device,
    dtype: torch.dtype,
    seed: int,
    fitted: Preprocessing | None,
) -> Splits:
    """Split and fit a table, and put a loader over each part. Raises ConfigError."""
    prepared = table.prepare(node.get("val_fraction", 0.0), node.get("split_seed", 0), dtype, fitted)
    made, streamed = prepared.preprocessing, _streamed(table, prepared, loader)
    scale_y = made.y.to(device) if made.y is not None else None

    def over(part: Part) -> Loader:
        return RowGroups(part, made, device, dtype) if streamed else _whole(part, made, loader, device, dtype, seed)

    train = over(prepared.train)
    return Splits(
        name=table.source.files[0].name.partition(".")[0] or "table",
        source=_named(table),
        facts=made.facts,
        train=train,
        val=over(prepared.val) if prepared.val else None,
        test=over(prepared.test) if prepared.test else None,
        num_train=prepared.train.num_rows,
        num_val=prepared.val.num_rows if prepared.val else 0,
        num_test=prepared.test.num_rows if prepared.test else 0,
        loader_name=train.name,
        scale_y=scale_y,
        truth={},
        sample=_sample(train, prepared.train.num_rows, device, dtype),
        preprocessing=made,
        notes=prepared.notes,
        class_counts=prepared.class_counts,
    )


def _whole(
    part: Part, made: Preprocessing, loader: LoaderConfig, device: torch.device, dtype: torch.dtype, seed: int
) -> Loader:
    inputs, _ = made.of_table()
    x, y = rows_of(part, made)
    expand, scale_y, classes = inputs.expand.to(device), made.y, made.facts.classes
    if keep_in_memory([x, y], loader, device)[0]:
        return InMemory(x, y, expand, scale_y, device)
    return Workers(
        TensorData(x, y, classes=classes),
        expand,
        scale_y,
        device,
        num_workers=loader.num_workers,
        pin_memory=loader.pin_memory,
        seed=seed,
        num_classes=len(classes) if classes is not None else None,
    )


def _streamed(table: Table, prepared: Prepared, loader: LoaderConfig) -> bool:
    if table.source.text or loader.in_memory is True:
        return False
    num_bytes = 8 * len(prepared.train.roles) * len(table.source.names)
    wanted = loader.in_memory is False or num_bytes > MOST
    if wanted and loader.num_workers > 0 and num_bytes > MOST:
        raise ConfigError("a table that is read in parts takes no workers", "loader.num_workers=0")
    return wanted and loader.num_workers == 0


def _sample(train: Loader, num_rows: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    if isinstance(train, Workers):
        rows: Any = train.loader.dataset
        x, y = (place(part[:2], device, dtype) for part in (rows.dataset.x, rows.dataset.y))
        return train.scale_x(x), y if train.scale_y is None else train.scale_y(y)
    return train.load(next(iter(train.fetch([torch.arange(min(2, num_rows))], 0))))


def _named(table: Table) -> str:
    files = table.source.files
    return files[0].name if len(files) == 1 else f"{len(files)} files"
