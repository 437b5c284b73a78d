"""Rows to predict, whatever they come as: a table, arrays, pictures. Each batch with the columns that name its rows."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from trainer.data import arrays
from trainer.data.images import Images
from trainer.data.loaders import place
from trainer.data.preprocessing import Preprocessing, TableFormat
from trainer.data.tabular import matrix
from trainer.data.tabular.source import Batch, Dialect, Source, label
from trainer.data.tabular.targets import targets_of
from trainer.errors import ConfigError

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp")


@dataclass
class Unlabelled:
    """names, files: of the input; batches: (columns to give back, raw rows); unknown: categories that training had
    not, complete when all batches are through."""

    names: list[str]
    files: list[Path]
    batches: Iterator[tuple[Mapping[str, Any], Tensor]]
    unknown: dict[str, set[str]]


def open_rows(path: str, made: Preprocessing, node: Mapping[str, Any], size: int, *, typed: bool) -> Unlabelled:
    """node: the dataset that the run was trained on; size: rows a batch, of pictures; typed: whether a table's numbers
    come back as numbers, not as the text that they were. Raises ConfigError for an input of another kind."""
    if made.table is not None:
        source = open_table(path, made.table, with_targets=False)
        unknown: dict[str, set[str]] = {}
        return Unlabelled(
            source.names, source.files, _table(encoded(source, made.table, unknown), made.table, typed), unknown
        )
    file = Path(path).expanduser()
    if file.suffix in (".npz", ".safetensors") and file.is_file():
        return Unlabelled(["row"], [file], _arrays(file, made, str(node.get("x", "x"))), {})
    if str(node["_target_"]).endswith(".Images") and file.exists():
        return Unlabelled(["file"], [file], _pictures(file, node, size), {})
    if not file.exists():
        raise ConfigError(f"there is no file {path}")
    raise ConfigError(f"this run was not trained on a table: {path} should be .npz or .safetensors with rows in x")


def _table(
    rows: Iterator[tuple[Batch, Tensor]], how: TableFormat, typed: bool
) -> Iterator[tuple[Mapping[str, Any], Tensor]]:
    numbers = {column.name for column in how.columns if column.kind == "number"} if typed else set()
    for batch, raw in rows:
        columns = dict(batch.columns)
        for name in numbers:
            if pa.types.is_string(columns[name].type):
                columns[name] = pa.array(matrix.to_floats(columns[name], "number", how.missing), from_pandas=True)
        yield columns, raw


def _arrays(file: Path, made: Preprocessing, name: str) -> Iterator[tuple[Mapping[str, Any], Tensor]]:
    found = arrays.READERS[file.suffix](file)
    if name not in found:
        raise ConfigError(f"{file} has no array '{name}'", f"it has: {', '.join(list(found)[:8])}")
    x = found[name]
    if tuple(x.shape[1:]) != made.raw_shape:
        raise ConfigError(f"{file}: {name} holds rows of shape {tuple(x.shape[1:])}, the run's are {made.raw_shape}")
    yield {"row": pa.array(np.arange(len(x)))}, x


def _pictures(path: Path, node: Mapping[str, Any], size: int) -> Iterator[tuple[Mapping[str, Any], Tensor]]:
    files = sorted(f for f in path.rglob("*") if f.suffix.lower() in PICTURES) if path.is_dir() else [path]
    if not files:
        raise ConfigError(f"{path} holds no pictures", "they end in " + ", ".join(PICTURES))
    decode = Images.decoder(int(node.get("size", 64)), grey=bool(node.get("grey", False)))
    for first in range(0, len(files), size):
        some = files[first : first + size]
        yield {"file": pa.array([str(file) for file in some])}, torch.stack([decode(str(file)) for file in some])


def open_table(path: str | list[str], how: TableFormat, *, with_targets: bool) -> Source:
    """Table files, read as the run's own was. Raises ConfigError that names the columns that they lack."""
    source = Source(path, Dialect(how.delimiter, how.encoding, tuple(how.missing)))
    needed = [column.name for column in how.columns] + how.targets * with_targets
    matrix.check_present(needed, source.names, label(source.files[0]))
    return source


def encoded(source: Source, how: TableFormat, unknown: dict[str, set[str]]) -> Iterator[tuple[Batch, Tensor]]:
    """(batch, raw rows float64) of all rows. unknown: collects the categories that training had not."""
    for batch in source.batches():
        yield batch, torch.from_numpy(matrix.encode(batch, how.columns, how.missing, unknown))


class Labelled:
    """The rows of a table that have a target, as batches for an evaluation. num_rows, left_out: known at the end."""

    def __init__(
        self, source: Source, made: Preprocessing, size: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.source, self.made, self.size, self.device, self.dtype = source, made, size, device, dtype
        self.num_rows = self.left_out = 0
        self.unknown: dict[str, set[str]] = {}

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        made = self.made
        inputs, how = made.of_table()
        for batch, raw in encoded(self.source, how, self.unknown):
            y = targets_of(batch, made)
            present = ~y.isnan().any(1) if y.is_floating_point() else y >= 0
            self.num_rows += int(present.sum())
            self.left_out += int((~present).sum())
            for x_part, y_part in zip(raw[present].split(self.size), y[present].split(self.size), strict=True):
                x, y_part = (place(part, self.device, self.dtype) for part in (inputs(x_part), y_part))
                yield x, y_part if made.y is None else made.y(y_part)
