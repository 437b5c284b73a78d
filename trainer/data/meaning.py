"""What targets mean: the task that they set, by the rules below or as dataset.task says, and the names of classes."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from trainer.config import target
from trainer.data import labels, tree
from trainer.data.tree import Tree
from trainer.errors import ConfigError
from trainer.text import counted

AUTO = "auto"
UNKNOWN = -1  # outputs of a model that says nothing about their number
TASKS = ("classes", "numbers", "labels", "tokens", "pixels", "input", "free")
LABELS_HINT = "all targets are 0 or 1: dataset.task=labels makes each of them a label"
NO_TARGET = "no target, so the loss gets None"  # what decides for the task free
INDEXED = ("classes", "tokens", "pixels")  # tasks whose targets are class indices
NUM_AXES = {"classes": 0, "labels": 1, "tokens": 1, "pixels": 2}  # of a row's target


def class_of(own: Mapping[str, Any]) -> Any:
    """The class of a task of your own, {_target_: …}; its `name`, one of TASKS, is that of its parent. Raises
    ConfigError."""
    kind = target.locate(str(own["_target_"]), "dataset.task")
    if not isinstance(kind, type) or getattr(kind, "name", None) not in TASKS:
        text = f"dataset.task._target_={own['_target_']} is not a task"
        raise ConfigError(text, "a subclass of trainer.tasks.task.Task, which keeps its `name`", "dataset.task")
    return kind


@dataclass(frozen=True)
class Meaning:
    """task: one of TASKS; why: what decided; or_else: the task if a model's outputs do not fit this one. classes: the
    names of the classes, or of the labels of `labels`. num_outputs: of the model, for each row, position or pixel.
    ignored: the class index that does not count. counted: whether the classes are those that the labels of tokens or
    pixels need, so that a model may have more, see settled."""

    task: str
    why: str = ""
    classes: list[str] | None = None
    num_outputs: int = 1
    ignored: int = labels.IGNORED
    or_else: str = ""
    counted: bool = False

    def settled(self, num_outputs: int) -> "Meaning":
        """The same where a model has this many classes, at least those that were counted; others keep theirs."""
        if not self.counted:
            return self
        names = list(map(str, range(num_outputs)))
        return replace(self, classes=names, num_outputs=num_outputs, counted=False)

    def of_row(self, y: Tree) -> Tree:
        """The target of a row as the task takes it: class indices as an int or int64, without an axis of 1."""
        return labels.of_row(y) if self.task in INDEXED else y

    def of_batch(self, y: Tree) -> Tree:
        """The same for the targets of a batch that a Dataset's collate_fn has made."""
        if self.task not in INDEXED:
            return tree.mapped_leaves(torch.as_tensor, y)
        y = torch.as_tensor(y).long()
        return y[:, 0] if y.ndim == NUM_AXES[self.task] + 2 and y.shape[1] == 1 else y

    def is_class(self, y: Any) -> bool:
        """Whether a target is seen at a glance to be one class index; `check` looks at any."""
        return type(y) is int and self.classes is not None and 0 <= y < len(self.classes)

    def check(self, y: Any, place: str, first: int = 0) -> None:
        """Raise ConfigError for class indices y (N, …) that are no classes, if these are settled. place, first: see
        labels.check_labels."""
        if self.task in INDEXED and self.classes is not None and not self.counted:
            labels.check_labels(torch.as_tensor(y), len(self.classes), place, self.ignored, first)


def decide(
    x: Tree, y: Tree, place: str, *, same: bool, asked: str, outputs: int | None, zero_and_one: Callable[[], bool]
) -> Meaning:
    """The task of a data set, without the names of classes. Raises ConfigError where it is open, or does not fit.

    x, y: of a row, its leaves tensors; same: whether the input is the target too. asked: dataset.task; outputs: of the
    model; None where it takes them from the data. zero_and_one: whether all whole-number targets are 0 or 1.
    """
    if isinstance(y, Tensor) and y.is_complex() and asked in (AUTO, "numbers") and not same:
        text = f"the targets of {place} are complex numbers"
        raise ConfigError(text, "torch.view_as_real(y); or dataset.task=free with a loss of your own")
    if asked != AUTO:
        return replace(_asked(asked, x, y, place, same=same), why="dataset.task says so")
    if same:
        if not _is_float(y):
            text = f"{place} is one tensor of whole numbers, which is its own target"
            raise ConfigError(text, "return (input, target); or dataset.task=input, if it is to be its own target")
        return Meaning("input", "one tensor a sample, which is its own target", None, _size(y))
    if y is None:
        return Meaning("free", NO_TARGET)
    if not isinstance(y, Tensor):
        return Meaning("free", "a target of several tensors")
    if _is_float(y):
        return Meaning("numbers", "the targets are floats", None, _size(y))
    shape = tuple(y.shape)
    if shape in ((), (1,)):
        return Meaning("classes", "one whole number a row")
    if len(shape) == 1 and outputs in (None, UNKNOWN, shape[0]) and (y.dtype is torch.bool or zero_and_one()):
        or_else = "tokens" if outputs == UNKNOWN and y.dtype is not torch.bool else ""
        return Meaning("labels", f"{shape[0]} numbers a row, each 0 or 1", None, shape[0], or_else=or_else)
    if len(shape) == 1:
        return Meaning("tokens", "several whole numbers a row")
    if len(shape) == 2 or (len(shape) == 3 and shape[0] == 1):
        return Meaning("pixels", f"whole numbers in rows of {shape[-2]}×{shape[-1]}")
    return Meaning("free", f"whole numbers in rows of {len(shape)} axes")


def _asked(task: str, x: Tree, y: Tree, place: str, *, same: bool) -> Meaning:
    """The task that dataset.task names. Raises ConfigError for targets that it cannot have."""
    if task not in TASKS:
        raise ConfigError(f"dataset.task={task} is not one of {', '.join(TASKS)}", "dataset.task=auto", "dataset.task")
    if task == "input":
        if not isinstance(x, Tensor):
            raise ConfigError(f"dataset.task=input needs one tensor as the input of {place}", "dataset.task=free")
        return Meaning(task, "", None, _size(x))
    if task == "free":
        return Meaning(task)
    y = x if same else y
    if not isinstance(y, Tensor):
        what = "no target" if y is None else "a target of several tensors"
        raise ConfigError(
            f"dataset.task={task} needs one tensor as the target, but {place} has {what}", "dataset.task=free"
        )
    if task == "numbers":
        return Meaning(task, "", None, _size(y))
    if _is_float(y) and task in INDEXED:
        text = f"dataset.task={task} needs whole numbers, but the targets of {place} are floats"
        raise ConfigError(text, "dataset.task=numbers", "dataset.task")
    axes = [n for n in y.shape if n != 1] if task == "classes" else y.shape
    if len(axes) not in (NUM_AXES[task], NUM_AXES[task] + (task == "pixels" and y.ndim == 3 and y.shape[0] == 1)):
        text = f"dataset.task={task}, but a target of {place} has the shape {tuple(y.shape)}"
        raise ConfigError(text, "dataset.task=auto", "dataset.task")
    return Meaning(task, "", None, y.shape[0] if task == "labels" else 1)


def words_of(names: Any, place: str) -> list[str] | None:
    """The names in a Dataset's attribute `classes`; None where it has none. Raises ConfigError for anything else."""
    if names is None:
        return None
    if not isinstance(names, Collection):
        text = f"the attribute `classes` of {place} is {str(names)[:20]}, not a list of names"
        raise ConfigError(text, "`classes = [word, …]` in the Dataset, or no attribute of this name")
    return [str(word) for word in names] or None


def named(
    meaning: Meaning, words: Sequence[str] | None, place: str, tally: Callable[[], Tensor]
) -> tuple[Meaning, list[str]]:
    """(The meaning with the names of its classes, lines for the header). words: the names that the data brings; tally:
    how often each label occurs, see labels.tally. Raises ConfigError."""
    if meaning.task == "labels":
        if words is not None and len(words) != meaning.num_outputs:
            text = f"{place} names {counted(len(words), 'class')}, but a row has {meaning.num_outputs} labels"
            raise ConfigError(text, "a name for each label")
        return replace(meaning, classes=list(words or map(str, range(meaning.num_outputs)))), []
    if meaning.task not in INDEXED:
        return meaning, []
    notes, is_open = list[str](), words is None and meaning.task != "classes"
    if words is None:
        counts = tally()
        if not len(counts):
            raise ConfigError(f"every label of {place} is {meaning.ignored}, which the loss leaves out")
        words = [str(label) for label in range(len(counts))]
        notes += filter(None, [labels.remark(counts) if meaning.task != "tokens" else None])
    return replace(meaning, classes=list(words), num_outputs=len(words), counted=is_open), notes


def _is_float(y: Any) -> bool:
    return isinstance(y, Tensor) and (y.is_floating_point() or y.is_complex())


def _size(y: Tree) -> int:
    return max(1, int(y.numel()))
