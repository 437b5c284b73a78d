"""Two loaders behind one contract: rows kept as tensors on the device, and torch's DataLoader with its workers.

`fetch(rows, epoch)` takes the row indices of each batch and yields the batches in a form that suits the loader;
`targets(batch)` returns the targets of one, and `load(batch)` its (x, y) on the device, ready for the model. Both
loaders give the same (x, y) for the same rows.
"""

import atexit
import os
import random
import signal
import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from trainer.config.schema import Loader as LoaderConfig
from trainer.data import seeds
from trainer.data.augmentation import Augmented
from trainer.data.scaling import Scale, scaled
from trainer.data.tabular.one_hot import OneHot
from trainer.errors import Killed, TrainerError
from trainer.processes import parent_death, scratch, signals
from trainer.text import counted

GRACE = 8  # seconds that a worker outlives a SIGTERM
PREPARED_AT_ONCE = 64 * 2**20  # bytes up to which all rows are scaled at once


class Loader(Protocol):
    """See the module. name: for the header. knows_targets: whether every rank has the targets of all rows in memory,
    so that ranks need not exchange counts; a fetched batch is then a tensor of row indices."""

    name: str
    knows_targets: bool

    def fetch(self, rows: Sequence[Tensor], epoch: int) -> Iterable[Any]: ...
    def targets(self, batch: Any) -> Tensor: ...
    def load(self, batch: Any) -> tuple[Tensor, Tensor]: ...


def place(tensor: Tensor, device: torch.device, dtype: torch.dtype) -> Tensor:
    """Copy a tensor to the device. Floats are cast to `dtype` before the copy, since MPS does not support float64."""
    return tensor.to(device=device, dtype=dtype if tensor.is_floating_point() else None, non_blocking=True)


class InMemory:
    """All rows as tensors on the device; a fetched batch is a tensor of row indices.

    x, y: of the data, on the CPU. Large data of bytes stays bytes, and is scaled batch by batch.
    """

    name, knows_targets = "in memory", True

    def __init__(
        self, x: Tensor, y: Tensor, scale_x: Scale | OneHot, scale_y: Scale | None, device: torch.device
    ) -> None:
        self.scale_x = scale_x.on(device, scale_x.dtype)
        growth = scale_x.growth  # one-hot categories take more memory than their indices
        self.at_once = (x.is_floating_point() and growth <= 1.5) or 4 * growth * x.numel() <= PREPARED_AT_ONCE
        if scale_x.waits(x):
            self.x = place(x, device, scale_x.dtype)
            self.x = self.scale_x(self.x) if self.at_once else self.x
        else:
            self.x, self.at_once = place(scaled(x, scale_x), device, scale_x.dtype), True
        self.y = place(y if scale_y is None else scale_y(y), device, scale_x.dtype)
        self.device = device

    def fetch(self, rows: Sequence[Tensor], epoch: int) -> Iterable[Tensor]:
        if self.device.type == "cpu" or not rows:
            return rows
        order = torch.cat(list(rows)).to(self.device)  # one copy per epoch, not one per batch
        return order.split([len(batch) for batch in rows])  # type: ignore[no-any-return]

    def targets(self, batch: Tensor) -> Tensor:
        return self.y.index_select(0, batch)

    def load(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        x = self.x.index_select(0, batch)
        return x if self.at_once else self.scale_x(x), self.targets(batch)


class Workers:
    """torch's DataLoader over any map-style Dataset; a fetched batch is (x, y) on the CPU, its labels checked."""

    knows_targets = False

    def __init__(
        self,
        dataset: Dataset[Any],
        scale_x: Scale | OneHot,
        scale_y: Scale | None,
        device: torch.device,
        config: LoaderConfig,
        seed: int,
    ) -> None:
        num_workers = config.num_workers
        if num_workers > 0:
            scratch.for_sockets()
        self.name = f"DataLoader, {counted(num_workers, 'worker')}"
        self.scale_x, self.scale_y, self.device, self.config, self.seed = scale_x, scale_y, device, config, seed
        self.finish = scale_x.on(device, scale_x.dtype)
        self.indices: list[list[tuple[int, int]]] = []  # of an epoch; always the same list, so that workers persist
        self.loader = DataLoader(
            Seeded(dataset, seed),
            batch_sampler=self.indices,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=config.pin_memory and device.type == "cuda",
            # A worker of a fork server would outlive a killed run: it watches the server, not the run.
            multiprocessing_context="fork" if num_workers > 0 and sys.platform == "linux" else None,
            worker_init_fn=partial(begin_worker, os.getpid()),
            generator=torch.Generator(),  # without it, every epoch would advance the global one
        )

        if (
            num_workers
        ):  # after an error, torch would end them with a signal only, for which they wait, see begin_worker
            atexit.register(end_workers, weakref.ref(self.loader))

    def unaugmented(self) -> "Workers":
        """A loader of the same rows as they are."""
        dataset: Any = self.loader.dataset.dataset  # type: ignore[attr-defined]
        dataset = dataset.dataset if isinstance(dataset, Augmented) else dataset
        return Workers(dataset, self.scale_x, self.scale_y, self.device, self.config, self.seed)

    def fetch(self, rows: Sequence[Tensor], epoch: int) -> Iterable[tuple[Tensor, Tensor]]:
        self.indices[:] = [[(epoch, index) for index in batch.tolist()] for batch in rows if len(batch)]
        batches = iter(self.loader)
        try:
            for batch in rows:
                yield next(batches) if len(batch) else self._empty()
        except TrainerError as error:  # from a worker: torch puts the traceback before the message
            text = error.message.strip().splitlines()[-1].split(f"{type(error).__name__}: ", 1)[-1]
            raise TrainerError(text, error.hint) from error
        except (RuntimeError, OSError, EOFError) as error:  # what torch meets when a worker is gone
            if (reason := self._killed()) is not None:
                raise Killed(reason) from error
            raise

    def _killed(self) -> str | None:
        """Which worker was killed, if one was."""
        for worker in getattr(self.loader._iterator, "_workers", ()):
            if worker.exitcode is not None and worker.exitcode < 0:
                return f"DataLoader worker (process {worker.pid}): {signals.exit_reason(worker.exitcode)}"
        return None

    def _empty(self) -> tuple[Tensor, Tensor]:
        """A batch of no rows in the right shapes, for a rank that has no row of some batch."""
        x, y = default_collate([self.loader.dataset[0, 0]])
        return x[:0], y[:0]

    def targets(self, batch: tuple[Tensor, Tensor]) -> Tensor:
        return batch[1]

    def load(self, batch: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        x, y = batch
        dtype, late = self.scale_x.dtype, self.scale_x.waits(x)
        x = place(x if late else self.scale_x(x), self.device, dtype)
        y = place(y if self.scale_y is None else self.scale_y(y), self.device, dtype)
        return self.finish(x) if late else x, y


def end_workers(loader: Callable[[], Any]) -> None:
    """End the workers of a DataLoader that is still there, before torch and multiprocessing do so at exit."""
    if (iterator := getattr(loader(), "_iterator", None)) is not None:
        iterator._shutdown_workers()


def begin_worker(run: int, worker: int) -> None:
    """Tie a worker to the process `run`: it ends with the run, and ignores the signals that ask the run to stop.

    The run needs its workers until it has saved.
    """
    parent_death.die_with_it()
    if os.getppid() != run:  # the run was killed before the line above; torch starts to watch even later
        os._exit(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "alarm"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda number, frame: signal.alarm(GRACE) and None)


class Seeded(Dataset[Any]):
    """A Dataset whose randomness is a function of (seed, epoch, index), whichever process reads the row."""

    def __init__(self, dataset: Dataset[Any], seed: int, *, before_training: bool = False) -> None:
        """before_training: whether errors of your own Dataset are errors of the config, see rows.Rows.read."""
        self.dataset, self.seed = dataset, seed
        self.read = dataset.read if before_training else dataset.__getitem__  # type: ignore[attr-defined]

    def __getitem__(self, position: tuple[int, int]) -> Any:
        epoch, index = position
        state = seeds.derive(self.seed, "sample", epoch, index)
        torch.default_generator.manual_seed(state)
        random.seed(state)
        np.random.seed(state % 2**32)  # what a user's Dataset draws from
        return self.read(index)
