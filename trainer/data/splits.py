"""The splits of a data set: a loader for each, and what is known from the data alone."""

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
    """Loaders of each split with their numbers of rows, and what is known from the data alone."""

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
    truth: Mapping[str, float]  # the numbers to learn, where the data set knows them
    sample: tuple[Tensor, Tensor]  # up to two training rows, on the device, ready for the model
    preprocessing: Preprocessing
    notes: Sequence[str] = ()  # lines for the header: what was found in the data, and done about it
    class_counts: tuple[int, ...] | None = None  # training rows of each class, where they are known


def keep_in_memory(tensors: Sequence[Tensor], loader: LoaderConfig, device: torch.device) -> tuple[bool, str | None]:
    """Whether rows become tensors on the device, as loader.in_memory says, and why not, where their size keeps auto
    from it. tensors: what the rows are; empty for a Dataset that is read row by row. Raises ConfigError."""
    if loader.num_workers > 0:
        if loader.in_memory is True:
            raise ConfigError(
                "loader.in_memory=true needs no workers: the data is on the device", "loader.num_workers=0"
            )
        return False, None
    if loader.in_memory != "auto":
        return loader.in_memory, None
    why_not = machine.too_large(tensors, device) if tensors else None
    return bool(tensors) and why_not is None, why_not
