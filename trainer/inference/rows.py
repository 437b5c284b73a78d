"""Rows to predict, from a table, arrays or pictures. Each batch comes with the columns that identify its rows."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from trainer.data import facts as inputs_of
from trainer.data import picture_file, picture_folder, tree
from trainer.data.picture_file import PictureFormat
from trainer.data.preprocessing import Preprocessing
from trainer.data.tabular import matrix
from trainer.data.tabular.batch import Batch, settle
from trainer.data.tabular.column import Kind
from trainer.data.tabular.conversion import to_floats
from trainer.data.tabular.source import Source, label
from trainer.data.tabular.table_format import TableFormat
from trainer.data.tabular.unseen import Unseen
from trainer.data.tree import Tree
from trainer.errors import ConfigError, complain
from trainer.inference import array_rows
from trainer.text import listed


@dataclass
class Unlabelled:
    """Rows without targets. batches: (columns for the output, raw rows, a tree). unknown: values that training did not
    have; unreadable: why pictures were left out; both complete after the last batch. unlike: what to say if the model
    does not take rows of another length than in training."""

    names: list[str]
    files: list[Path]
    batches: Iterator[tuple[Mapping[str, Any], Tree]]
    unknown: Unseen = field(default_factory=Unseen)
    unreadable: list[str] = field(default_factory=list)
    unlike: str = ""


def open_rows(path: str, prepared: Preprocessing, node: Mapping[str, Any], size: int, *, typed: bool) -> Unlabelled:
    """Open the rows at a path. Raises ConfigError for an input that does not match the training data. node: the dataset
    of the run's config; size: pictures in a batch; typed: whether a table's numbers are returned as numbers, not text.
    """
    if prepared.table is not None:
        source, unknown = open_table(path, prepared.table, with_targets=False), Unseen()
        batches = _table(source, prepared.table, unknown, typed=typed)
        return Unlabelled(source.names, source.files, batches, unknown)
    file = Path(path).expanduser()
    if file.suffix in (".npz", ".safetensors") and file.is_file():
        raw, unlike = array_rows.read(file, prepared, str(node.get("x", "x")))
        places = {"row": pa.array(np.arange(tree.num_rows(raw)))}
        return Unlabelled(["row"], [file], iter([(places, raw)]), unlike=unlike)
    if prepared.pictures is not None and file.exists():
        why = list[str]()
        return Unlabelled(["file"], [file], _pictures(file, prepared.pictures, size, why), unreadable=why)
    if not file.exists():
        raise ConfigError(f"there is no file {path}")
    names = listed(list(inputs_of.names(prepared.facts.inputs)))
    text = f"this run was not trained on a table: {path} should be .npz or .safetensors with rows in {names}"
    raise ConfigError(text)


def _table(
    source: Source, how: TableFormat, unknown: Unseen, *, typed: bool
) -> Iterator[tuple[Mapping[str, Any], Tensor]]:
    numbers: dict[str, Kind] = {column.name: "number" for column in how.columns if column.kind == "number" and typed}
    for batch, raw in encoded(source, how, unknown, numbers):
        columns = dict(batch.columns)
        for name in numbers:
            columns[name] = pa.array(to_floats(columns[name], "number", how.dialect), from_pandas=True)
        yield columns, raw


def _pictures(
    path: Path, how: PictureFormat, size: int, unreadable: list[str]
) -> Iterator[tuple[Mapping[str, Any], Tensor]]:
    left_out = Counter[str]()
    files = picture_folder.pictures_in(path, left_out) if path.is_dir() else [str(path)]
    if not files:
        raise ConfigError(f"{path} holds no pictures", "they end in .jpg, .png, .webp and the like")
    if left_out.total():
        complain(f"note     left out: {picture_folder.described(left_out)}")
    for first in range(0, len(files), size):
        read = dict[str, Tensor]()
        for name in files[first : first + size]:
            try:
                read[os.fsencode(name).decode(errors="replace")] = picture_file.read(name, how)  # it may not be UTF-8
            except ConfigError as error:  # one broken picture does not cost the others
                unreadable.append(error.message)
                if len(unreadable) == len(files):
                    raise
        if read:
            yield {"file": pa.array(list(read))}, torch.stack(list(read.values()))


def open_table(path: str | list[str] | Source, how: TableFormat, *, with_targets: bool) -> Source:
    """Open table files, or a table in memory, read in the same way as the run's table. Raises ConfigError with the
    missing columns."""
    source = path if isinstance(path, Source) else Source(path, how.dialect)
    needed = [column.name for column in how.columns] + how.targets * with_targets
    matrix.check_present(needed, source.names, label(source.files[0]))
    return source


def encoded(
    source: Source, how: TableFormat, unknown: Unseen, settled: Mapping[str, Kind] | None = None
) -> Iterator[tuple[Batch, Tensor]]:
    """Yield (batch, raw rows float64). unknown: counts the values that training did not have; settled: columns of text
    that the batch is to hold as numbers or dates."""
    for batch in source.batches():
        settle(batch, settled or {}, how.dialect)
        yield batch, torch.from_numpy(matrix.encode(batch, how.columns, how.dialect, unknown))
