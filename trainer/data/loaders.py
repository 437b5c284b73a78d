"""Two loaders behind one contract: rows kept as tensors on the device, and torch's DataLoader with its workers.

The contract: `parts(batches, epoch)` yields one part for each batch of row indices; `targets(part)` are its targets;
`load(part)` is (x, y) on the device, ready for the model. Both give the same batches for the same indices.
"""

import os
import random
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from trainer.data import labels, seeds
from trainer.data.scaling import Scale
from trainer.data.tabular.one_hot import OneHot
from trainer.errors import ConfigError
from trainer.processes import parent_death

GRACE = 8  # seconds that a worker outlives a SIGTERM
PREPARED_AT_ONCE = 64 * 2**20  # bytes up to which rows are kept as the model wants them, not as they were stored


class Loader(Protocol):
    """See the module. name: what the header calls it. at_hand: whether the targets of any row cost nothing, so that
    ranks need not ask each other; a part is then a tensor of indices."""

    name: str
    at_hand: bool

    def parts(self, batches: Sequence[Tensor], epoch: int) -> Iterable[Any]: ...
    def targets(self, part: Any) -> Tensor: ...
    def load(self, part: Any) -> tuple[Tensor, Tensor]: ...


def place(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """On the device; floats in `dtype` already on the way, since MPS takes no float64."""
    return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None, non_blocking=True)


class InMemory:
    """Rows as tensors on the device; a part is a tensor of indices, and a batch one gather.

    Bytes stay bytes where there are many, and become numbers batch by batch.
    """

    name, at_hand = "in memory", True

    def __init__(
        self, x: Tensor, y: Tensor, scale_x: Scale | OneHot, scale_y: Scale | None, device: torch.device
    ) -> None:
        self.scale_x = scale_x
        self.x = place(x, device, scale_x.dtype)
        growth = getattr(scale_x, "growth", 1.0)  # one-hot categories take more room than they came in
        self.at_once = (x.is_floating_point() and growth <= 1.5) or 4 * growth * x.numel() <= PREPARED_AT_ONCE
        if self.at_once:
            self.x = scale_x(self.x)
        self.y = place(y, device, scale_x.dtype)
        if scale_y is not None:
            self.y = scale_y(self.y)
        self.device = device

    def parts(self, batches: Sequence[Tensor], epoch: int) -> Iterable[Tensor]:
        if self.device.type == "cpu" or not batches:
            return batches
        whole = torch.cat(list(batches)).to(self.device)  # one copy an epoch, not one a batch
        chunks: tuple[Tensor, ...] = whole.split([len(batch) for batch in batches])
        return chunks

    def targets(self, part: Tensor) -> Tensor:
        return self.y.index_select(0, part)

    def load(self, part: Tensor) -> tuple[Tensor, Tensor]:
        x = self.x.index_select(0, part)
        return x if self.at_once else self.scale_x(x), self.y.index_select(0, part)


class Workers:
    """torch's DataLoader over any map-style Dataset; a part is a batch on the host.

    num_classes: labels are checked against it before they reach the device; None for numbers.
    """

    at_hand = False

    def __init__(
        self,
        dataset: Dataset[Any],
        scale_x: Scale | OneHot,
        scale_y: Scale | None,
        device: torch.device,
        *,
        num_workers: int,
        pin_memory: bool,
        seed: int,
        num_classes: int | None,
    ) -> None:
        self.name = f"DataLoader, {num_workers} worker{'s' * (num_workers != 1)}"
        self.scale_x, self.scale_y, self.device, self.num_classes = scale_x, scale_y, device, num_classes
        self.batches = _Batches()
        self.loader = DataLoader(
            Seeded(dataset, seed),
            batch_sampler=self.batches,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=pin_memory and device.type == "cuda",
            # A worker that a fork server made outlives a run that is killed: it watches the server, not the run.
            multiprocessing_context="fork" if num_workers > 0 and sys.platform == "linux" else None,
            worker_init_fn=partial(begin_worker, os.getpid()),
            generator=torch.Generator(),  # its own, or every epoch would move the global one
        )

    def parts(self, batches: Sequence[Tensor], epoch: int) -> Iterable[tuple[Tensor, Tensor]]:
        self.batches.indices = [[(epoch, index) for index in batch.tolist()] for batch in batches if len(batch)]
        found = iter(self.loader)
        try:
            for batch in batches:
                yield next(found) if len(batch) else self.nothing()
        except ConfigError as error:  # of a worker: torch puts its traceback in front
            raise ConfigError(error.message.strip().splitlines()[-1].rpartition("ConfigError: ")[2]) from error

    def nothing(self) -> tuple[Tensor, Tensor]:
        """A batch of no rows, in the shapes of the first: of a rank that has none in some batch."""
        x, y = default_collate([self.loader.dataset[0, 0]])
        return x[:0], y[:0]

    def targets(self, part: tuple[Tensor, Tensor]) -> Tensor:
        return part[1]

    def load(self, part: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x, y = part
        if self.num_classes is not None:
            labels.check_labels(y, self.num_classes, "a batch")
        x, y = (place(part, self.device, self.scale_x.dtype) for part in (x, y))
        return self.scale_x(x), y if self.scale_y is None else self.scale_y(y)


def begin_worker(run: int, worker: int) -> None:
    """In a worker of the process `run`: it ends with that one, and leaves signals to it.

    A wish to stop is the run's to hear, which needs the worker until it has saved.
    """
    parent_death.die_with_it()
    if os.getppid() != run:  # killed before we asked; torch's own watch begins later still
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(GRACE) and None)


class _Batches:
    """A batch sampler whose batches are set from outside before each pass, so that workers can persist."""

    indices: list[list[tuple[int, int]]] = []  # noqa: RUF012 - replaced, never changed

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        return iter(self.indices)

    def __len__(self) -> int:
        return len(self.indices)


class Seeded(Dataset[Any]):
    """A Dataset whose own randomness is a function of (seed, epoch, index), whichever process asks."""

    def __init__(self, dataset: Dataset[Any], seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __getitem__(self, position: tuple[int, int]) -> Any:
        epoch, index = position
        state = seeds.derive(self.seed, "sample", epoch, index)
        torch.default_generator.manual_seed(state)
        random.seed(state)
        np.random.seed(state % 2**32)  # what a user's Dataset draws from
        return self.dataset[index]
