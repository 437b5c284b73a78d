"""What the data tells about the sizes of a model."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from trainer.config.target import INPUT_NAMES, OUTPUT_NAMES, VOCABULARY_NAMES
from trainer.data import tree
from trainer.data.meaning import Meaning
from trainer.data.tree import Tree
from trainer.disk.typed import MOST_INPUTS

INDEX_DTYPES = ("int32", "int64")


@dataclass(frozen=True)
class Spec:
    """One tensor of a sample. dtype: by its name; num_values: one more than the largest whole number in the data,
    rows that it holds back included, if it is known and may be an index."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    num_values: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers that may stay as they are: indices of an embedding, and not bytes."""
        return self.dtype in INDEX_DTYPES


@dataclass(frozen=True)
class Facts:
    """What is known from the data alone. inputs: a Spec for each tensor of a sample's input; meaning: of its target;
    class_counts: the training rows of each class, if known, as they were at the first start of a run."""

    inputs: Tree
    meaning: Meaning
    class_counts: tuple[int, ...] | None = None

    @property
    def task(self) -> str:
        """The kind of targets, see meaning.TASKS."""
        return self.meaning.task

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes or labels; None for numbers and other targets."""
        return self.meaning.classes

    @property
    def are_numbered(self) -> bool:
        """Whether the classes are named by their index."""
        return self.classes == list(map(str, range(len(self.classes or []))))

    @property
    def num_outputs(self) -> int:
        """How many numbers a model gives for each row, position or pixel."""
        return self.meaning.num_outputs

    @property
    def ignored(self) -> int:
        """The class index that does not count."""
        return self.meaning.ignored

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of a sample's input if it is one tensor; else ()."""
        return self.inputs.shape if isinstance(self.inputs, Spec) else ()

    @property
    def is_plain(self) -> bool:
        """Whether the input is one tensor."""
        return isinstance(self.inputs, Spec)

    def for_model(self, each: int = 1) -> dict[str, Any]:
        """The sizes that a model may leave null, as keyword arguments. each: outputs for a number to predict."""
        facts: dict[str, Any] = dict.fromkeys(OUTPUT_NAMES, self.num_outputs * each)
        if isinstance(self.inputs, Spec):
            facts |= dict.fromkeys(INPUT_NAMES, math.prod(self.inputs.shape))
            if len(self.inputs.shape) == 3:
                facts["in_channels"] = self.inputs.shape[0]
        if sizes := [spec.num_values for _, spec in tree.named(self.inputs) if spec.num_values is not None]:
            facts |= dict.fromkeys(VOCABULARY_NAMES, max(sizes))
        return facts


def is_index(leaf: Tensor) -> bool:
    """Whether a tensor holds whole numbers that may be indices of an embedding."""
    return str(leaf.dtype).removeprefix("torch.") in INDEX_DTYPES


def specs_of(x: Tree, *, batch: bool = False, is_all: bool = False, largest: Sequence[int | None] = ()) -> Tree:
    """The Spec of each tensor. batch: whether the first axis is that of the rows; is_all: whether these are all
    rows, so that their largest whole number is known; largest: that number of each tensor, if it was
    counted."""
    known = iter(largest)

    def spec(leaf: Tensor) -> Spec:
        shape = tuple(leaf.shape[1:] if batch else leaf.shape)
        found, most = Spec(shape, str(leaf.dtype).removeprefix("torch.")), next(known, None)
        if is_all and found.is_whole and leaf.numel():
            most = int(leaf.max())
        return replace(found, num_values=most + 1) if most is not None and 0 <= most < MOST_INPUTS else found

    return tree.mapped_leaves(spec, x)


def zeros(specs: Tree, num_rows: int, device: torch.device, dtype: torch.dtype, *, as_is: bool) -> Tree:
    """An input of zeros, as the model gets it: floats in `dtype`. as_is: whether other numbers stay what they are,
    see AsIs."""

    def part(spec: Spec) -> Tensor:
        kind: torch.dtype = getattr(torch, spec.dtype)
        kind = kind if as_is and not kind.is_floating_point else dtype
        return torch.zeros(num_rows, *spec.shape, device=device, dtype=kind)

    return tree.mapped_leaves(part, specs)


def as_data(specs: Tree) -> Any:
    """Specs as plain data: a tensor is {shape, dtype, num_values}, a tuple a list, a dict {parts: …}."""
    if isinstance(specs, Spec):
        return {"shape": list(specs.shape), "dtype": specs.dtype, "num_values": specs.num_values}
    if isinstance(specs, dict):
        return {"parts": {name: as_data(inner) for name, inner in specs.items()}}
    return [as_data(inner) for inner in specs]


def names(specs: Tree) -> Iterator[str]:
    """The paths of the tensors of an input, 'x' for a plain one."""
    for path, _ in tree.named(specs):
        yield path or "x"
