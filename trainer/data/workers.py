"""torch's DataLoader with its workers, behind the contract of loaders.py."""

import atexit
import os
import random
import signal
import sys
import weakref
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from trainer.config.schema import Loader as LoaderConfig
from trainer.data import seeds, tree
from trainer.data.augmentation import Augmented
from trainer.data.loaders import send
from trainer.data.scaling import Scale
from trainer.data.tabular.one_hot import OneHot
from trainer.data.transformed import Transformed
from trainer.data.tree import Tree
from trainer.errors import BadRow, Killed, TrainerError
from trainer.processes import parent_death, scratch, signals
from trainer.text import counted

GRACE = 8  # seconds that a worker outlives a SIGTERM
Collate = Callable[[Sequence[Any]], tuple[Tree, Tree]]


class Batch(NamedTuple):
    """What Workers fetch: rows on the CPU, as the data has them."""

    x: Tree
    y: Tree
    num_rows: int


class Workers:
    """torch's DataLoader over any map-style Dataset; a fetched batch is a Batch, its labels checked.

    collate: makes (x, y) of rows. is_same: whether the input is the target too.
    """

    knows_targets = False
    target_shape: tuple[int, ...] | None = None  # of an input that is its own target
    argument: str | None = None  # of the model that gets the target too

    def __init__(
        self,
        dataset: Dataset[Any],
        collate: Collate,
        scale_x: Scale | OneHot,
        scale_y: Scale | None,
        device: torch.device,
        config: LoaderConfig,
        seed: int,
        *,
        is_same: bool = False,
    ) -> None:
        self.num_workers = num_workers = config.workers
        if num_workers > 0:
            scratch.for_sockets()
        self.name = f"DataLoader, {counted(num_workers, 'worker')}"
        self.scale_x, self.scale_y, self.device, self.config, self.seed = scale_x, scale_y, device, config, seed
        self.collate, self.is_same = partial(_batch, collate), is_same
        self.finish = scale_x.on(device, scale_x.dtype)
        self.indices: list[list[tuple[int, int]]] = []  # of an epoch; always the same list, so that workers persist
        self.loader = DataLoader(
            Seeded(dataset, seed),
            batch_sampler=self.indices,
            collate_fn=self.collate,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=config.pin_memory and device.type == "cuda",
            # A worker of a fork server would outlive a killed run: it watches the server, not the run.
            multiprocessing_context="fork" if num_workers > 0 and sys.platform == "linux" else None,
            worker_init_fn=partial(begin_worker, os.getpid()),
            generator=torch.Generator(),  # without it, every epoch would advance the global one
        )
        # After an error, torch would end them with a signal only, for which they wait, see begin_worker.
        if num_workers:
            atexit.register(end_workers, weakref.ref(self.loader))

    def close(self) -> None:
        """End the workers. A later fetch would start others."""
        end_workers(lambda: self.loader)
        self.loader._iterator = None

    def unaugmented(self) -> "Workers":
        """A loader of the same rows as they are."""
        dataset: Any = self.loader.dataset.dataset  # type: ignore[attr-defined]
        while isinstance(dataset, (Augmented, Transformed)):
            dataset = dataset.dataset
        collate, scales = self.collate.args[0], (self.scale_x, self.scale_y)
        return Workers(dataset, collate, *scales, self.device, self.config, self.seed, is_same=self.is_same)

    def fetch(self, rows: Sequence[Tensor], epoch: int) -> Iterable[Batch]:
        self.indices[:] = [[(epoch, index) for index in batch.tolist()] for batch in rows if len(batch)]
        batches = iter(self.loader)
        try:
            for batch in rows:
                yield next(batches) if len(batch) else self._empty()
        except TrainerError as error:  # from a worker: torch puts the traceback before the message
            text = error.message.strip().splitlines()[-1].split(f"{type(error).__name__}: ", 1)[-1]
            raise BadRow(text, error.hint) from error
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

    def _empty(self) -> Batch:
        """A batch of no rows in the right shapes, for a rank that has no row of some batch."""
        x, y, _ = self.collate([self.loader.dataset[0, 0]])
        return Batch(tree.mapped(lambda leaf: leaf[:0], x), tree.mapped(lambda leaf: leaf[:0], y), 0)

    def read(self, rows: Sequence[int]) -> tuple[Batch, bool]:
        """(A batch of these rows as in epoch 0, read in this process; whether collating them draws from a
        generator of torch, NumPy or Python)."""
        samples = [self.loader.dataset[0, row] for row in rows]
        before = _generators()
        batch = self.collate(samples)
        return batch, before != _generators()

    def count(self, batch: Batch) -> int:
        return batch.num_rows

    def targets(self, batch: Batch) -> Tree:
        return batch.y

    def load(self, batch: Batch) -> tuple[Tree, Tree]:
        late = self.scale_x.waits(batch.x)
        x = self.placed(batch.x if late else self.scale_x(batch.x))
        return self.paired(self.finish(x) if late else x, batch.y)

    def placed(self, some: Tree) -> Tree:
        """Tensors on the device, floats in the model's dtype."""
        return tree.mapped(lambda leaf: send(leaf, self.device, self.scale_x.dtype), some)

    def paired(self, x: Tree, y: Tree) -> tuple[Tree, Tree]:
        """(x, y) of a batch for a model and its loss. x: ready for the model; y: as it was fetched."""
        y = y if self.scale_y is None else self.scale_y(y)
        if self.is_same:
            return x, x if self.target_shape is None else x.reshape(len(x), *self.target_shape)
        y = self.placed(y)
        return (x if self.argument is None else {**x, self.argument: y}), y


def _generators() -> tuple[Any, ...]:
    """The states of the three global generators, to compare."""
    numpy: Any = np.random.get_state()
    return torch.get_rng_state().tolist(), numpy[1].tolist(), numpy[2:], random.getstate()


def _batch(collate: Collate, rows: Sequence[Any]) -> Batch:
    return Batch(*collate(rows), len(rows))


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
