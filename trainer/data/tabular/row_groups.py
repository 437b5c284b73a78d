"""A table that does not fit into memory: Parquet row groups, read as they are needed, behind the loaders' contract.

The order of an epoch is a function of (seed, epoch): the groups are permuted and put together into blocks, and the rows
within each block are permuted. So a position of an epoch is found by adding up sizes of groups, and only the block that
it lies in is read. Memory is bounded by KEPT and by the largest row group.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, overload

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import torch
from torch import Tensor

from trainer.data import seeds
from trainer.data.loaders import place
from trainer.data.preprocessing import Preprocessing
from trainer.data.table import Part
from trainer.data.tabular import matrix
from trainer.data.tabular.source import Batch, group_batches, label
from trainer.data.tabular.targets import targets_of

KEPT = 64 * 2**20  # bytes of a block of row groups, and of what is kept of groups already read
ROWS = 16_384  # rows decoded at once


@dataclass(frozen=True)
class Group:
    """One row group. first: its first row in its file, start: in all files; num_rows: in it, with any role."""

    file: int
    number: int
    first: int
    start: int
    num_rows: int


class Order:
    """The order of an epoch. blocks: for each, its groups in order; counts: rows of each group; seed: None does not
    shuffle. `split` makes its batches, as a tensor of indices would."""

    def __init__(self, blocks: Sequence[Sequence[int]], counts: Any, seed: int | None) -> None:
        self.blocks, self.counts, self.seed = blocks, counts, seed
        self.starts = np.cumsum(counts) - counts
        self.ends = np.cumsum([int(sum(counts[group] for group in block)) for block in blocks])
        self.made: dict[int, Tensor] = {}

    def split(self, size: int) -> "Batches":
        """The batches of `size` rows each."""
        return Batches(self, size, range(-(-int(self.ends[-1]) // size)))

    def rows(self, block: int) -> Tensor:
        """The rows of a block in their order; those of two blocks are kept, since a batch may lie in both."""
        if block not in self.made:
            if len(self.made) == 2:
                del self.made[next(iter(self.made))]
            rows = torch.cat(
                [torch.arange(self.starts[g], self.starts[g] + self.counts[g]) for g in self.blocks[block]]
            )
            if self.seed is not None:
                generator = torch.Generator().manual_seed(seeds.derive(self.seed, "block", block))
                rows = rows[torch.randperm(len(rows), generator=generator)]
            self.made[block] = rows
        return self.made[block]


class Batches(Sequence[Tensor]):
    """Some batches of an order: indices of rows, made when they are asked for."""

    def __init__(self, order: Order, size: int, chosen: range) -> None:
        self.order, self.size, self.chosen = order, size, chosen

    def __len__(self) -> int:
        return len(self.chosen)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> "Batches": ...
    def __getitem__(self, index: int | slice) -> "Tensor | Batches":
        if isinstance(index, slice):
            return Batches(self.order, self.size, self.chosen[index])
        ends, parts = self.order.ends, []
        position = self.chosen[index] * self.size
        stop = min(position + self.size, int(ends[-1]))
        while position < stop:
            block = int(np.searchsorted(ends, position, side="right"))
            rows, end = self.order.rows(block), int(ends[block])
            first = position - (end - len(rows))
            parts.append(rows[first : first + stop - position])
            position = min(stop, end)
        return torch.cat(parts)


class RowGroups:
    """The loader of one part of a Parquet table; a fetched batch is (x, y) on the CPU, x standardised."""

    name, knows_targets = "read in parts", False

    def __init__(self, part: Part, made: Preprocessing, device: torch.device, dtype: torch.dtype) -> None:
        columns, self.table = made.of_table()
        self.part, self.made, self.device, self.dtype = part, made, device, dtype
        self.standardize = columns.standardize
        self.expand, self.scale_y = columns.expand.to(device), made.y
        self.files = [
            pyarrow.parquet.ParquetFile(file, pre_buffer=False, buffer_size=2**20) for file in part.source.files
        ]
        self.groups = list(_groups(self.files))
        bounds = [group.start for group in self.groups] + [len(part.roles)]
        self.counts = np.array([int((part.roles[a:b] == part.role).sum()) for a, b in pairwise(bounds)])
        self.starts = np.cumsum(self.counts) - self.counts
        width = len(self.table.columns) + made.facts.num_outputs
        self.bytes_a_row = width * torch.finfo(dtype).bits // 8
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}

    def order(self, seed: int, epoch: int, *, shuffle: bool) -> Order:
        """The order of an epoch; see the module."""
        used = np.flatnonzero(self.counts)
        if shuffle:
            generator = torch.Generator().manual_seed(seeds.derive(seed, "order", epoch))
            used = used[torch.randperm(len(used), generator=generator).numpy()]
        blocks: list[list[int]] = []
        size = KEPT
        for group in used.tolist():
            num_bytes = int(self.counts[group]) * self.bytes_a_row
            if size + num_bytes > KEPT or not shuffle:
                blocks.append([])
                size = 0
            blocks[-1].append(group)
            size += num_bytes
        return Order(blocks, self.counts, seeds.derive(seed, "rows", epoch) if shuffle else None)

    def fetch(self, rows: Sequence[Tensor], epoch: int) -> Iterable[tuple[Tensor, Tensor]]:
        return map(self._gather, rows)

    def targets(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return batch[1]

    def load(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x, y = (place(tensor, self.device, self.dtype) for tensor in batch)
        return self.expand(x), y if self.scale_y is None else self.scale_y(y)

    def _gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Rows by their index in this part, in that order. Groups at hand come first: a new one may push them out."""
        rows = indices.numpy()
        owners = np.searchsorted(self.starts, rows, side="right") - 1
        places, pieces = [], []
        found = np.unique(owners).tolist() or np.flatnonzero(self.counts)[:1].tolist()  # a rank may have no row
        for group in sorted(found, key=lambda group: group not in self.kept):
            mine = torch.from_numpy(np.flatnonzero(owners == group))
            local = indices.index_select(0, mine) - int(self.starts[group])
            places.append(mine)
            pieces.append([tensor.index_select(0, local) for tensor in self._group(group)])
        back = torch.cat(places).argsort()
        x, y = (torch.cat(parts).index_select(0, back) for parts in zip(*pieces, strict=True))
        return x, y

    def _group(self, number: int) -> tuple[Tensor, Tensor]:
        """The rows of one group that have the part's role; kept until others need the room."""
        if number in self.kept:
            return self.kept[number]
        room = int(self.counts[number]) * self.bytes_a_row
        while self.kept and room + sum(int(self.counts[group]) for group in self.kept) * self.bytes_a_row > KEPT:
            del self.kept[next(iter(self.kept))]
        group = self.groups[number]
        file, first = self.files[group.file], 0
        roles = self.part.roles[group.start : group.start + group.num_rows]
        x = torch.empty(int(self.counts[number]), len(self.table.columns), dtype=self.dtype)
        y = torch.empty(len(x), dtype=torch.int64)
        if self.made.facts.classes is None:
            y = torch.empty(len(x), self.made.facts.num_outputs, dtype=torch.float64)
        needed = [column.name for column in self.table.columns] + self.table.targets
        done = 0
        for batch in group_batches(
            file, group.number, needed, label(self.part.source.files[group.file]), group.first, ROWS
        ):
            mine = chosen(batch, roles[first : first + batch.num_rows] == self.part.role)
            first += batch.num_rows
            raw = torch.from_numpy(matrix.encode(mine, self.table.columns, self.table.missing, {}))
            rows, labels = self.standardize(raw), targets_of(mine, self.made)
            x[done : done + len(rows)], y[done : done + len(rows)] = rows, labels
            done += len(rows)
        self.kept[number] = (x, y)
        return self.kept[number]


def chosen(batch: Batch, mask: Any) -> Batch:
    """Some rows of a batch; their places stay known."""
    if mask.all():
        return batch
    index, keep = np.flatnonzero(mask), pa.array(mask)
    columns = {name: values.filter(keep) for name, values in batch.columns.items()}
    return Batch(columns, len(index), lambda row: batch.where(int(index[row])))


def _groups(files: Sequence[Any]) -> Iterator[Group]:
    start = 0
    for place_, file in enumerate(files):
        first = 0
        for number in range(file.num_row_groups):
            num_rows = file.metadata.row_group(number).num_rows
            yield Group(place_, number, first, start, num_rows)
            first, start = first + num_rows, start + num_rows
