"""The splits of a data set: a loader for each, and facts about the data."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from trainer.config.schema import Loader as LoaderConfig
from trainer.data.facts import Facts, Spec
from trainer.data.fingerprint import Fingerprint
from trainer.data.loaders import InMemory, Loader
from trainer.data.parts import Part
from trainer.data.preprocessing import Preprocessing
from trainer.data.scaling import AsIs, Cast, Scale, inverse_on
from trainer.data.tree import Tree
from trainer.data.workers import Workers
from trainer.errors import ConfigError
from trainer.processes import machine


@dataclass(frozen=True)
class Split:
    """A loader over the rows of a part, in their order."""

    loader: Loader
    part: Part[Any]

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return self.part.num_rows


@dataclass
class Splits:
    """The splits by name, of which there is always train, and facts about the data."""

    name: str
    source: str
    facts: Facts
    parts: Mapping[str, Split]
    loader_name: str
    truth: Mapping[str, float]  # the numbers to learn by name, if the formula is known
    sample: tuple[Tree, Tree]  # up to two training rows, on the device, ready for the model
    device: torch.device
    preprocessing: Preprocessing
    fingerprint: Fingerprint
    notes: Sequence[str] = ()  # lines for the header: what was found in the data, and how it is treated
    num_workers: int = 0  # that read rows, see loader.num_workers
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

    @property
    def loaders(self) -> list[Any]:
        """Those of all splits."""
        return [split.loader for split in self.parts.values()]

    def num_rows(self, name: str) -> int:
        """The number of rows of train, val or test."""
        return self.parts[name].num_rows if name in self.parts else 0

    @property
    def scale_y(self) -> Scale | None:
        """The scale of numeric targets, for its inverse on the device."""
        return inverse_on(self.preprocessing.y, self.device)

    def settle(self, num_outputs: int) -> None:
        """Take the classes of the model, where only those are known that the labels of tokens or pixels need. Raises
        ConfigError for a label that is none of them."""
        needed = self.facts.num_outputs
        self.facts = replace(self.facts, meaning=self.facts.meaning.settled(num_outputs))
        self.preprocessing.facts = self.facts
        for split in self.parts.values():
            split.part.data.settle(num_outputs)
        if num_outputs > needed:
            self.notes = [*self.notes, f"the model has {num_outputs:,} classes, of which the labels need {needed:,}"]

    def shape_targets(self, row_shape: tuple[int, ...]) -> None:
        """Give each row of numeric targets the shape of a prediction, if they differ by axes of 1 alone, and an input
        that is its own target any shape of as many numbers.

        A loss would broadcast (N,) and (N, 1) to (N, N).
        """
        (x, y), scale = self.sample, self.preprocessing.y
        here = tuple(y.shape[1:])
        if self.facts.task == "input" and math.prod(here) == math.prod(row_shape):
            self.sample = x, y.reshape(len(y), *row_shape)
            for loader in self.loaders:
                loader.target_shape = row_shape
            return
        if scale is None or here == row_shape or [n for n in here if n != 1] != [n for n in row_shape if n != 1]:
            return
        scale.reshape(row_shape)
        self.sample = x, y.reshape(len(y), *row_shape)
        for loader in self.loaders:
            if isinstance(loader, InMemory):
                loader.y = loader.y.reshape(len(loader.y), *row_shape)

    def give_target(self, argument: str) -> None:
        """Let the model get the target too, if there is one, under this name. Raises ConfigError where inputs have no
        names."""
        x, y = self.sample
        if y is None:
            return
        if not isinstance(x, dict):
            text = "loss=model: the model needs its inputs by name, to get the target beside them"
            raise ConfigError(text, "dataset.inputs={ARGUMENT: 0}")
        self.sample = {**x, argument: y}, y
        for loader in self.loaders:
            loader.argument = argument

    def cast_inputs(self) -> bool:
        """Make floats of whole-number inputs, for a model that takes no others. Returns whether there were any."""
        if not (isinstance(self.facts.inputs, Spec) and isinstance(self.preprocessing.x, AsIs)):
            return False
        self.preprocessing.x = scale = Cast(self.preprocessing.x.dtype)
        for loader in self.loaders:
            if isinstance(loader, InMemory):
                loader.x, loader.scale_x = scale(loader.x), scale
            elif isinstance(loader, Workers):
                loader.scale_x = loader.finish = scale
        x, y = self.sample
        self.sample = scale(x), y
        return True


def keep_in_memory(tensors: Sequence[Tensor], loader: LoaderConfig, device: torch.device) -> tuple[bool, str | None]:
    """(whether all rows are kept on the device, as loader.in_memory says; why not, if they are too large for auto).

    tensors: all rows; empty for a Dataset that is read row by row. Raises ConfigError.
    """
    if loader.workers > 0:
        if loader.in_memory is True:
            raise ConfigError("loader.in_memory=true leaves nothing for workers to do", "loader.num_workers=0")
        return False, None
    if loader.in_memory != "auto":
        return loader.in_memory, None
    why_not = machine.too_large(tensors, device) if tensors else None
    return bool(tensors) and why_not is None, why_not
