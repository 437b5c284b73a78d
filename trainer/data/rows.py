"""A table as a trained model takes it: encoded with the columns of its run, batch by batch, in its own order."""

from collections.abc import Iterator

import torch
from torch import Tensor

from trainer.data.loaders import place
from trainer.data.preprocessing import Preprocessing, Table
from trainer.data.tabular import matrix
from trainer.data.tabular.source import Batch, Dialect, Source, label
from trainer.data.tabular.targets import targets_of


def open_table(path: str | list[str], how: Table, *, with_targets: bool) -> Source:
    """Table files, read as the run's own was. Raises ConfigError that names the columns that they lack."""
    source = Source(path, Dialect(how.delimiter, how.encoding, tuple(how.missing)))
    needed = [column.name for column in how.columns] + how.targets * with_targets
    matrix.check_present(needed, source.names, label(source.files[0]))
    return source


def encoded(source: Source, how: Table, unknown: dict[str, set[str]]) -> Iterator[tuple[Batch, Tensor]]:
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
