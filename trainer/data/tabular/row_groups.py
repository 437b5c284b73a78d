"""A loader for a table that does not fit into memory: it reads row groups of Parquet files when they are needed.

The order of an epoch is a function of (seed, epoch): the groups are permuted and collected into blocks, and the rows
within each block are permuted. A position in an epoch follows from the sizes of the groups, so only the groups of its
block are read. Memory is bounded by KEPT and by the largest row group.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, overload

import numpy as np
import torch
from torch import Tensor

from trainer.data import seeds
from trainer.data.loaders import send
from trainer.data.parts import Part
from trainer.data.preprocessing import Preprocessing
from trainer.data.tabular import matrix
from trainer.data.tabular.batch import chosen, masked
from trainer.data.tabular.chunks import Chunks
from trainer.data.tabular.source import Source, group_batches, label, open_parquet
from trainer.data.tabular.targets import targets_of

KEPT = 64 * 2**20  # bytes of a block of row groups, and of the groups kept in memory
ROWS = 16_384  # rows decoded at once


@dataclass(frozen=True)
class Group:
    """A row group. first: the number of its first row in its file, start: in all files; num_rows: with any role."""

    file: int
    number: int
    first: int
    start: int
    num_rows: int


class Order:
    """The order of an epoch; `split` gives its batches, as that of a tensor of indices would.

    blocks: the groups of each, in order; counts: the rows of each group; seed: None does not shuffle.
    """

    def __init__(self, blocks: Sequence[Sequence[int]], counts: Any, seed: int | None) -> None:
        self.blocks, self.counts, self.seed = blocks, counts, seed
        self.starts = np.cumsum(counts) - counts
        self.ends = np.cumsum([int(counts[list(block)].sum()) for block in blocks])
        self.recent: dict[int, Tensor] = {}

    def split(self, size: int) -> "LazyBatches":
        """The batches of `size` rows each."""
        return LazyBatches(self, size, range(-(-int(self.ends[-1]) // size)))

    def rows(self, block: int) -> Tensor:
        """The rows of a block in their order; those of two blocks are kept, since a batch may span both."""
        if block not in self.recent:
            if len(self.recent) == 2:
                del self.recent[next(iter(self.recent))]
            starts, counts = self.starts, self.counts
            rows = torch.cat([torch.arange(starts[g], starts[g] + counts[g]) for g in self.blocks[block]])
            if self.seed is not None:
                rows = rows[seeds.permutation(len(rows), seeds.derive(self.seed, "block", block))]
            self.recent[block] = rows
        return self.recent[block]


class LazyBatches(Sequence[Tensor]):
    """Some batches of an order: indices of rows, computed on access."""

    def __init__(self, order: Order, size: int, chosen: range) -> None:
        self.order, self.size, self.chosen = order, size, chosen

    def __len__(self) -> int:
        return len(self.chosen)

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> "LazyBatches": ...
    def __getitem__(self, index: int | slice) -> "Tensor | LazyBatches":
        if isinstance(index, slice):
            return LazyBatches(self.order, self.size, self.chosen[index])
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

    def __init__(
        self, part: Part[Source], preprocessing: Preprocessing, device: torch.device, dtype: torch.dtype, chunks: Chunks
    ) -> None:
        self.chunks = chunks
        columns, self.table = preprocessing.of_table()
        self.part, self.preprocessing, self.device, self.dtype = part, preprocessing, device, dtype
        self.standardize = columns.standardize
        self.expand, self.scale_y = columns.expand.to(device), preprocessing.y
        self.files = [open_parquet(file) for file in part.data.files]
        self.groups = list(_groups(self.files))
        bounds = [group.start for group in self.groups] + [len(part.roles)]
        self.counts = np.array([int((part.roles[a:b] == part.role).sum()) for a, b in pairwise(bounds)])
        self.starts = np.cumsum(self.counts) - self.counts
        width = len(self.table.columns) + preprocessing.facts.num_outputs
        self.bytes_a_row = width * torch.finfo(dtype).bits // 8
        self.kept: dict[int, tuple[Tensor, Tensor]] = {}

    def order(self, seed: int, epoch: int, *, shuffle: bool) -> Order:
        """The order of an epoch; see the module."""
        used = np.flatnonzero(self.counts)
        if shuffle:
            used = used[seeds.permutation(len(used), seeds.derive(seed, "order", epoch)).numpy()]
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

    def count(self, batch: tuple[Tensor, Tensor]) -> int:
        return len(batch[0])

    def targets(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return batch[1]

    def load(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x, y = batch
        y = y if self.scale_y is None else self.scale_y(y)
        return self.expand(send(x, self.device, self.dtype)), send(y, self.device, self.dtype)

    def _gather(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Rows by their index in this part, in that order. Kept groups come first, before a new one displaces them."""
        rows = indices.numpy()
        owners = np.searchsorted(self.starts, rows, side="right") - 1
        places, pieces = [], []
        groups = np.unique(owners).tolist() or np.flatnonzero(self.counts)[:1].tolist()  # a rank may have no row
        for group in sorted(groups, key=lambda group: group not in self.kept):
            mine = torch.from_numpy(np.flatnonzero(owners == group))
            local = indices.index_select(0, mine) - int(self.starts[group])
            places.append(mine)
            pieces.append([tensor.index_select(0, local) for tensor in self._group(group)])
        back = torch.cat(places).argsort()
        x, y = (torch.cat(tensors).index_select(0, back) for tensors in zip(*pieces, strict=True))
        return x, y

    def _group(self, number: int) -> tuple[Tensor, Tensor]:
        """The rows of a group that have the part's role; kept until others need the memory."""
        if number in self.kept:
            return self.kept[number]
        num_rows = int(self.counts[number])
        while self.kept and (num_rows + sum(len(x) for x, _ in self.kept.values())) * self.bytes_a_row > KEPT:
            del self.kept[next(iter(self.kept))]
        group, facts = self.groups[number], self.preprocessing.facts
        x = torch.empty(num_rows, len(self.table.columns), dtype=self.dtype)
        y = torch.empty(num_rows, dtype=torch.int64)
        if facts.classes is None:
            y = torch.empty(num_rows, facts.num_outputs, dtype=torch.float64)
        names, file = self.table.names, group.file
        name = label(self.part.data.files[file])
        self.chunks.check(self.part.data.files[file], group.number)
        batches = group_batches(self.files[file], group.number, names, name, group.first, ROWS)
        keep, done = self.part.roles[group.start : group.start + group.num_rows] == self.part.role, 0
        for batch, mask in masked(batches, keep):
            rows = chosen(batch, mask)
            here = slice(done, done + rows.num_rows)
            raw = torch.from_numpy(matrix.encode(rows, self.table.columns, self.table.dialect, None))
            x[here], y[here] = self.standardize(raw), targets_of(rows, self.preprocessing)
            done += rows.num_rows
        self.kept[number] = (x, y)
        return x, y


def _groups(files: Sequence[Any]) -> Iterator[Group]:
    start = 0
    for index, file in enumerate(files):
        first = 0
        for number in range(file.num_row_groups):
            num_rows = file.metadata.row_group(number).num_rows
            yield Group(index, number, first, start, num_rows)
            first, start = first + num_rows, start + num_rows
