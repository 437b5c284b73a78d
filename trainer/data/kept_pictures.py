"""Pictures of a folder that stay in memory as bytes, each decoded for the first batch that it is in.

rows of an epoch -> those not decoded yet -> a DataLoader decodes them -> bytes on the device -> batches by row
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from trainer.config.schema import Loader as LoaderConfig
from trainer.data.images import Images
from trainer.data.loaders import InMemory, place
from trainer.data.room import Room
from trainer.data.scaling import Scale
from trainer.data.workers import Workers
from trainer.text import counted


def decide(
    pictures: Images, num_rows: int, loader: LoaderConfig, device: torch.device, room: Room
) -> tuple[LoaderConfig, bool, str | None]:
    """(The config with the number of processes that decode; whether pictures stay in memory once decoded; why they do
    not). num_rows: those that may stay; pictures that are augmented as they are decoded may not."""
    if loader.num_workers == "auto":
        loader = replace(loader, num_workers=room.num_workers(sum(pictures.parts.sizes)))
    if loader.in_memory != "auto":
        return loader, False, None
    why_not = room.too_large(num_rows * math.prod(pictures.how.shape), device)
    return loader, why_not is None, why_not


class KeptPictures(InMemory):
    """A fetched batch is a tensor of row indices. `load` takes only rows that were fetched before, as any epoch does.

    shape: (channels, size, size) of a picture; labels: (N,) int64 of all rows; reader: decodes rows, and ends once all
    are kept.
    """

    is_same, at_once = False, False

    def __init__(
        self, shape: tuple[int, ...], labels: Tensor, reader: Workers, scale_x: Scale, device: torch.device
    ) -> None:
        self.x = torch.empty((len(labels), *shape), dtype=torch.uint8, device=device)
        self.y = place(labels, device, scale_x.dtype)
        self.scale_x, self.device = scale_x.on(device, scale_x.dtype), device
        self.kept = torch.zeros(len(labels), dtype=torch.bool)
        self.reader: Workers | None = reader
        by = f", by {counted(reader.num_workers, 'worker')}" if reader.num_workers else ""
        self.name = f"in memory once decoded{by} ({self.x.nbytes / 1e6:,.1f} MB)"

    @property
    def is_complete(self) -> bool:
        """Whether every picture has been decoded."""
        return bool(self.kept.all())

    def keep(self, rows: Tensor, pictures: Tensor) -> None:
        """Keep pictures (B, channels, size, size) uint8 as those of these rows, which are on the CPU."""
        self.x.index_copy_(0, rows.to(self.device), pictures.to(self.device))
        self.kept[rows] = True

    def fetch(self, rows: Sequence[Tensor], epoch: int) -> Iterable[Tensor]:
        if self.reader is not None and self.is_complete:
            self.reader.close()
            self.reader = None
        return super().fetch(rows, epoch) if self.reader is None else self._decoded(self.reader, rows, epoch)

    def _decoded(self, reader: Workers, rows: Sequence[Tensor], epoch: int) -> Iterator[Tensor]:
        lacking = [batch[~self.kept[batch]] for batch in rows]
        decoded = iter(reader.fetch([some for some in lacking if len(some)], epoch))
        for batch, some in zip(rows, lacking, strict=True):
            if len(some):
                self.keep(some, next(decoded).x)
            yield batch.to(self.device)
