"""The splits of a data set: a loader for each, and facts about the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.config.schema import Loader as LoaderConfig
from trainer.data.facts import Facts
from trainer.data.fingerprint import Fingerprint
from trainer.data.loaders import InMemory, Loader
from trainer.data.preprocessing import Preprocessing
from trainer.data.scaling import Scale, inverse_on
from trainer.errors import ConfigError
from trainer.processes import machine


@dataclass
class Splits:
    """A loader and the number of rows of each split, and facts about the data."""

    name: str
    source: str
    facts: Facts
    train: Loader
    val: Loader | None
    test: Loader | None
    num_train: int
    num_val: int
    num_test: int
    loader_name: str
    truth: Mapping[str, float]  # the numbers to learn by name, if the formula is known
    sample: tuple[Tensor, Tensor]  # up to two training rows, on the device, ready for the model
    preprocessing: Preprocessing
    fingerprint: Fingerprint
    notes: Sequence[str] = ()  # lines for the header: what was found in the data, and how it is treated
    warnings: Sequence[Sequence[str]] = ()  # of traps in the data, each in paragraphs
    class_counts: tuple[int, ...] | None = None  # training rows of each class, if known

    def part(self, name: str) -> tuple[Loader | None, int]:
        """The loader and the number of rows of train, val or test."""
        parts = {"train": (self.train, self.num_train), "val": (self.val, self.num_val)}
        return (parts | {"test": (self.test, self.num_test)})[name]

    @property
    def scale_y(self) -> Scale | None:
        """The scale of numeric targets, for its inverse on the device."""
        return inverse_on(self.preprocessing.y, self.sample[1].device)

    def shape_targets(self, row_shape: tuple[int, ...]) -> None:
        """Give each row of numeric targets the shape of a prediction, if they differ by axes of 1 alone.

        A loss would broadcast (N,) and (N, 1) to (N, N).
        """
        (x, y), scale = self.sample, self.preprocessing.y
        here = tuple(y.shape[1:])
        if scale is None or here == row_shape or [n for n in here if n != 1] != [n for n in row_shape if n != 1]:
            return
        scale.reshape(row_shape)
        self.sample = x, y.reshape(len(y), *row_shape)
        for loader in (self.train, self.val, self.test):
            if isinstance(loader, InMemory):
                loader.y = loader.y.reshape(len(loader.y), *row_shape)


def keep_in_memory(tensors: Sequence[Tensor], loader: LoaderConfig, device: torch.device) -> tuple[bool, str | None]:
    """(whether all rows are kept on the device, as loader.in_memory says; why not, if they are too large for auto).

    tensors: all rows; empty for a Dataset that is read row by row. Raises ConfigError.
    """
    if loader.num_workers > 0:
        if loader.in_memory is True:
            raise ConfigError("loader.in_memory=true leaves nothing for workers to do", "loader.num_workers=0")
        return False, None
    if loader.in_memory != "auto":
        return loader.in_memory, None
    why_not = machine.too_large(tensors, device) if tensors else None
    return bool(tensors) and why_not is None, why_not
