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


@dataclass(frozen=True)
class Split:
    """A loader over some rows. unseen: lines about categories in them that training did not have."""

    loader: Loader
    num_rows: int
    unseen: Sequence[str] = ()


@dataclass
class Splits:
    """The splits by name, of which there is always train, and facts about the data."""

    name: str
    source: str
    facts: Facts
    parts: Mapping[str, Split]
    loader_name: str
    truth: Mapping[str, float]  # the numbers to learn by name, if the formula is known
    sample: tuple[Tensor, Tensor]  # up to two training rows, on the device, ready for the model
    preprocessing: Preprocessing
    fingerprint: Fingerprint
    notes: Sequence[str] = ()  # lines for the header: what was found in the data, and how it is treated
    warnings: Sequence[Sequence[str]] = ()  # of traps in the data, each in paragraphs

    @property
    def train(self) -> Split:
        """The rows to train on."""
        return self.parts["train"]

    @property
    def val(self) -> Split | None:
        """The rows to validate on, if there are any."""
        return self.parts.get("val")

    @property
    def test(self) -> Split | None:
        """The rows to test on, if there are any."""
        return self.parts.get("test")

    def num_rows(self, name: str) -> int:
        """The number of rows of train, val or test."""
        return self.parts[name].num_rows if name in self.parts else 0

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
        for loader in (part.loader for part in self.parts.values()):
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
