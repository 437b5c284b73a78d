"""A model as a file that was tried: its outputs on made-up rows equal those that predict gives."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.data import facts as inputs_of
from trainer.data import tree
from trainer.data.tree import Tree
from trainer.device import dtype_name
from trainer.errors import ConfigError, TrainerError
from trainer.inference.formats import Format, leaf_has_length
from trainer.inference.likely_rows import likely_rows
from trainer.inference.model import Trained
from trainer.inference.outputs import Outputs, joined, row_axes
from trainer.inference.pipeline import make_whole

ROWS, TOLERANCE = 1000, 1e-5  # of the check, see _off
AT_ONCE = 2**22  # values that go through the file at once in the check: 27 pictures of 224×224
MOST_VALUES = 2**26  # of all outputs in the check, above which it takes fewer rows
FEWEST = 10  # rows of the check


@dataclass(frozen=True)
class Port:
    """An input or output of a file. shape: of rows, sizes that may be any as words."""

    name: str
    dtype: str
    shape: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.dtype} ({', '.join(self.shape)})"


@dataclass(frozen=True)
class Exported:
    """rows: that the file was tried on; off: by how much it differs from the model; left: names of outputs that it does
    not have, as no axis of theirs follows the number of rows."""

    data: bytes
    rows: Tree
    num_rows: int
    off: float
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    left: Sequence[str]


@torch.no_grad()
def export(model: Trained, chosen: Format) -> Exported:
    """Make a file and try it. Raises ConfigError for a model that cannot be written or tried so, and TrainerError for a
    file that differs from the model."""
    prepared = model.preprocessing
    rows = likely_rows(model, ROWS)
    few = tree.first(rows, 3)
    axes = row_axes(model.named, few)
    found = model.named(few)
    names = _names(axes, list(inputs_of.names(prepared.facts.inputs)))
    _check_steady(model, few, found)
    num_rows, size = _sizes(rows, found)
    rows = tree.first(rows, num_rows)
    kept = {name: axis for name, axis in axes.items() if axis is not None}
    expected = joined(_parts(model.named, rows, size), kept)  # before the file is made, which must not change the model
    whole = make_whole(model, names)
    data = chosen.make(whole, prepared, few)
    file = chosen.load(data, whole)
    units = prepared.of_answers.mean_and_std if prepared.of_answers is not None else None

    def off(x: Tree, expected: Outputs) -> float:
        got = joined(_parts(file, x, size), {names[name]: axis for name, axis in kept.items()})
        each = [
            _off(got[names[name]], value, units if name == model.task.result else None)
            for name, value in expected.items()
        ]
        return max(each, key=_order)

    def off_by(count: int) -> float:
        few = {name: value.narrow(kept[name], 0, count) for name, value in expected.items()}
        return off(tree.first(rows, count), few)

    worst = max(map(off_by, (1, 7, num_rows)), key=_order)
    if not worst <= TOLERANCE:
        text = f"{chosen.file} differs from the model by {worst:.2g} on {num_rows:,} rows; it was not written"
        raise TrainerError(text)
    other = _other_length(model, few, lambda x: off(x, joined(_parts(model.named, x, size), kept)))
    inputs = [
        Port(name or "x", _dtype(leaf), _shape(leaf, 0, far))
        for (name, leaf), far in zip(tree.named(rows), tree.leaves(rows if other is None else other), strict=True)
    ]
    again = found if other is None else model.named(other)
    outputs = [Port(names[name], _dtype(found[name]), _shape(found[name], kept[name], again[name])) for name in kept]
    left = [name for name, axis in axes.items() if axis is None]
    return Exported(data, rows, num_rows, worst, inputs, outputs, left)


def _names(axes: Mapping[str, int | None], inputs: Sequence[str]) -> dict[str, str]:
    """The outputs by their names in the file, where no output may have the name of an input. Raises ConfigError where
    nothing is left."""
    names = {name: f"{name}_out" if name in inputs else name for name, axis in axes.items() if axis is not None}
    if not names:
        raise ConfigError("no output of the model has an axis as long as there are rows", "trainer predict")
    return names


def _check_steady(model: Trained, rows: Tree, first: Outputs) -> None:
    """Raise ConfigError for a model that draws: what a file draws cannot be held against it."""
    second = model.named(rows, batch=1)
    if any(not torch.equal(first[name].nan_to_num(), second[name].nan_to_num()) for name in first):
        text = f"{type(model.model).__name__} draws random numbers, so a file of it cannot be checked"
        raise ConfigError(text, "a model that draws only while self.training")


def _sizes(rows: Tree, outputs: Outputs) -> tuple[int, int]:
    """(Rows of the check, rows at once)."""
    inputs = sum(leaf[0].numel() for leaf in tree.leaves(rows))
    each = sum(value.numel() for value in outputs.values()) // 3
    num_rows = min(ROWS, max(FEWEST, MOST_VALUES // max(1, each)))
    return num_rows, max(1, min(num_rows, AT_ONCE // max(1, inputs)))


def _parts(give: Callable[[Tree], Outputs], rows: Tree, size: int) -> list[Outputs]:
    return [give(part) for part in tree.split(rows, size)]


def _other_length(model: Trained, rows: Tree, off: Callable[[Tree], float]) -> Tree | None:
    """Rows of another length that the file takes as the model does; None if it takes only one."""

    def changed(change: Callable[[Tensor], Tensor]) -> Tree:
        return tree.mapped(lambda leaf: change(leaf) if leaf_has_length(model.preprocessing, leaf) else leaf, rows)

    def fits(other: Tree) -> bool:
        try:
            return tree.described(other) != tree.described(rows) and off(other) <= TOLERANCE
        except Exception:  # the model, or the file, takes no rows of this length
            return False

    return next(filter(fits, map(changed, (_longer, _shorter))), None)


def _longer(leaf: Tensor) -> Tensor:
    return torch.cat([leaf, leaf[:, -1:]], 1)


def _shorter(leaf: Tensor) -> Tensor:
    return leaf[:, :-1] if leaf.shape[1] > 1 else leaf


def _shape(leaf: Tensor, axis: int, other: Tensor) -> tuple[str, ...]:
    """Sizes in words. axis: of the rows; other: the same for rows of another length."""
    pairs = enumerate(zip(leaf.shape, other.shape, strict=True))
    return tuple("rows" if place == axis else str(a) if a == b else "length" for place, (a, b) in pairs)


def _dtype(tensor: Tensor) -> str:
    return dtype_name(tensor.dtype)


def _order(value: float) -> float:
    """NaN is the worst."""
    return float("inf") if value != value else value


def _off(got: Any, expected: Any, units: Any) -> float:
    """The largest difference, relative to the largest output if that is above 1. NaN if an output is NaN, unless it is
    in both, and not everywhere: made-up rows may mean nothing to a model.

    units: (mean, standard deviation) of the targets, as which outputs are measured; None takes them as they are.
    """
    if got.shape != expected.shape or got.dtype != expected.dtype:
        return float("inf")
    if units is not None:
        got, expected = ((output - units[0]) / units[1] for output in (got, expected))
    if not got.is_floating_point():
        got, expected = got.double(), expected.double()
    both = got.isnan() & expected.isnan()
    if bool(both.any()) and not bool(both.all()):
        got, expected = got[~both], expected[~both]
    return float((got - expected).abs().max() / max(1.0, float(expected.abs().max())))
