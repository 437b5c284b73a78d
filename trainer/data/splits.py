"""The splits of a data set: a loader for each, and facts about the data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.config.schema import Loader as LoaderConfig
from trainer.data.facts import Facts
from trainer.data.loaders import Loader
from trainer.data.preprocessing import Preprocessing
from trainer.data.scaling import Scale
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
    scale_y: Scale | None
    truth: Mapping[str, float]  # the numbers to learn by name, if the formula is known
    sample: tuple[Tensor, Tensor]  # up to two training rows, on the device, ready for the model
    preprocessing: Preprocessing
    notes: Sequence[str] = ()  # lines for the header: what was found in the data, and how it is treated
    warnings: Sequence[Sequence[str]] = ()  # of traps in the data, each in paragraphs
    class_counts: tuple[int, ...] | None = None  # training rows of each class, if known


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
