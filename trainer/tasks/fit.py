"""How a prediction fits its targets: which output the task is about, and which of its axes holds the classes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from trainer.data import tree
from trainer.data.facts import Facts
from trainer.data.meaning import INDEXED
from trainer.data.tree import Tree
from trainer.errors import ConfigError
from trainer.tasks.calls import picked
from trainer.text import counted, listed

Cut = Callable[[], tuple[Any, Any]]
BATCH_FIRST = "an output with a row for each sample along axis 0: batch_first=True, also for pad_sequence"
FAVOURITES = ("logits", "prediction", "output")  # names of the output that a task is about, if several fit


@dataclass(frozen=True)
class Fit:
    """path: to the task's output in a prediction; class_axis: 0 is the batch. shift: of targets against outputs, 1 for
    a causal language model, whose output at a position is about the next one. others: outputs that fit as well, where
    only their order decided."""

    path: tuple[Any, ...] = ()
    class_axis: int = 1
    shift: int = 0
    others: tuple[tuple[Any, ...], ...] = ()

    def __call__(self, prediction: Tree) -> Tree:
        """The output that the targets are about, without the last positions if they are about none."""
        output = picked(prediction, self.path)
        if not self.shift:
            return output
        positions = 2 if self.class_axis == 1 else 1
        return output.narrow(positions, 0, output.shape[positions] - self.shift)

    def target(self, y: Tree) -> Tree:
        """The targets that outputs are about."""
        return y[:, self.shift :] if self.shift else y


def find(
    facts: Facts, prediction: Tree, y: Tree, name: str, class_axis: int | None = None, cut: Cut | None = None
) -> Fit:
    """Find the output and its class axis for a batch. name: of the model; class_axis: loss.class_axis, if it was typed;
    cut: gives a prediction and its targets for shorter sequences, where the length of these is the number of classes.
    Raises ConfigError."""
    if facts.task == "free" or (isinstance(prediction, Tensor) and facts.task not in INDEXED):
        return Fit()
    if isinstance(prediction, Tensor):
        return Fit((), _axis(facts, prediction, y, name, class_axis, cut))
    if paths := _paths(facts, prediction, y, name, class_axis):
        path, others = paths[0], tuple(paths[1:])
        whole = picked(prediction, path)
        axes = _axes(facts, whole, y, class_axis)
        if len(axes) > 1 and cut is not None:
            output, y = cut()
            return Fit(path, _axis(facts, picked(output, path), y, name, class_axis, None), others=others)
        return Fit(path, axes[0], others=others)
    shapes = tree.described(prediction)
    text = f"model {name} returns {shapes}, of which none fits the targets {_wanted(facts, y)}"
    raise ConfigError(text, "return such an output, or dataset.task=free with a loss of your own")


def _paths(facts: Facts, prediction: Tree, y: Tree, name: str, typed: int | None) -> list[tuple[Any, ...]]:
    """The paths to the outputs that fit: the task's own first, and alone if its name tells that it is. Raises
    ConfigError where several do with more classes than the labels need, and no name tells which one it is."""
    fitting = [(path, output) for path, output in _outputs(prediction) if _axes(facts, output, y, typed)]
    exact = [path for path, output in fitting if facts.task not in INDEXED or facts.num_outputs in output.shape[1:]]
    paths = exact or [path for path, _ in fitting]
    if favourites := [path for path in paths if path and path[-1] in FAVOURITES]:
        return favourites[:1]
    if len(paths) > 1 and not exact:
        texts = listed([".".join(map(str, path)) for path in paths])
        text = f"several outputs of model {name} may be the classes of the {facts.task}: {texts}"
        raise ConfigError(text, "return a dict, in which the right one is called 'logits'")
    return paths


def _outputs(prediction: Tree, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Tensor]]:
    if isinstance(prediction, Tensor):
        yield path, prediction
    if prediction is None or isinstance(prediction, Tensor):
        return
    items = prediction.items() if isinstance(prediction, dict) else enumerate(prediction)
    for key, inner in items:
        yield from _outputs(inner, (*path, key))


def _axes(facts: Facts, output: Tensor, y: Tree, typed: int | None = None) -> list[int]:
    """The axes that may hold the classes; [1] for an output that fits a task without classes, [] for one that does
    not."""
    shape = tuple(output.shape)
    if not output.is_floating_point() or not isinstance(y, Tensor):
        return []
    if facts.task not in INDEXED:
        return [1] if output.numel() == y.numel() else []
    least, most = facts.num_outputs, max(shape) if facts.meaning.counted else facts.num_outputs
    found = [
        axis
        for axis in range(1, len(shape))
        if least <= shape[axis] <= most and shape[:axis] + shape[axis + 1 :] == tuple(y.shape)
    ]
    return [axis for axis in found if typed is None or axis == typed]


def _axis(facts: Facts, prediction: Tensor, y: Tensor, name: str, typed: int | None, cut: Cut | None) -> int:
    found = _axes(facts, prediction, y, typed)
    if facts.task == "classes" and not found:
        found = [1]  # check_prediction says what is wrong
    if not found:
        text = f"model {name} gives outputs of shape {tuple(prediction.shape)}, the targets need {_wanted(facts, y)}"
        raise ConfigError(text, _remedy(facts, prediction, y))
    if len(found) > 1 and cut is not None:
        return _axis(facts, *cut(), name, typed, None)
    if len(found) > 1:
        text = f"model {name} gives outputs of shape {tuple(prediction.shape)}: more than one axis may hold the classes"
        raise ConfigError(text, f"loss.class_axis={found[-1]}", "loss.class_axis")
    return found[0]


def _remedy(facts: Facts, prediction: Tensor, y: Tensor) -> str:
    """What to change where no axis of an output holds the classes."""
    if not prediction.ndim or len(prediction) == len(y):
        return f"an output of shape {_wanted(facts, y)}: leave its size null in the config"
    if len(prediction) == y.numel():
        return "return the outputs with a row for each sample, without the reshape that flattens them"
    return BATCH_FIRST


def _wanted(facts: Facts, y: Tree) -> str:
    """The shape that an output needs, in words."""
    if not isinstance(y, Tensor):
        return tree.described(y)
    if facts.task not in INDEXED:
        return str(tuple(y.shape))
    places: Sequence[Any] = ["batch", *y.shape[1:]]
    classes = counted(facts.num_outputs, "class")
    return f"({', '.join(map(str, [places[0], facts.num_outputs, *places[1:]]))}) for {classes}"
