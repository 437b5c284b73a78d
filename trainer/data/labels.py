"""Labels: which targets are classes, which label a loss leaves out, and a check on the CPU: on a GPU, a wrong label
makes CUDA unusable for the whole process."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.config import target
from trainer.errors import ConfigError

# From the targets of a batch and its number of rows to what the loss's mean divides by, 0-dim.
Denominator = Callable[[Any, int], Tensor]

IGNORED = -100  # the label that torch's losses leave out by default
VOID = 255  # the label that pictures of bytes often have where nothing counts
MOST_CLASSES = 100_000  # the largest label that can be a class
MANY_CLASSES = 1_000  # above which labels that nobody named are more likely numbers
FROM_0 = "labels count from 0; a dataset's `classes` names them all; loss.ignore_index=N leaves out N"


def ignored(loss: Mapping[str, Any]) -> int:
    """The label that a config's loss leaves out: its ignore_index, or the default of its class, or -100."""
    number = loss.get("ignore_index")
    if number is None and loss["_target_"] != "auto":
        parameter = target.parameters(target.locate(loss["_target_"], "loss")).get("ignore_index")
        number = parameter.default if parameter is not None else None
    return number if isinstance(number, int) else IGNORED


def of_row(y: Any) -> Any:
    """The target of a row. Integers and bools of any type are class indices: an int, or an int64 tensor without a
    first axis of size 1, as in (1,) and (1, H, W). Floats stay as they are."""
    if isinstance(y, (int, np.integer, np.bool_)):
        return int(y)
    tensor = torch.as_tensor(y)
    if tensor.is_floating_point() or tensor.is_complex():
        return y
    return tensor[0].long() if tensor.ndim in (1, 3) and len(tensor) == 1 else tensor.long()


def check_labels(y: Tensor, num_classes: int, place: str, ignore_index: int, first: int = 0) -> None:
    """Raise ConfigError for a label outside [0, num_classes), but for ignore_index. place: what messages call y, whose
    rows they number from `first`."""
    if y.numel() == 0 or y.is_floating_point():
        return
    wrong = (y != ignore_index) & ((y < 0) | (y >= num_classes))
    if bool(wrong.any()):
        row, label = first + int(wrong.reshape(len(y), -1).any(1).nonzero()[0]), int(y[wrong][0])
        text = f"label {label} in row {row} of {place} is outside the {num_classes} classes, 0 to {num_classes - 1}"
        raise ConfigError(text, _remedy(label))


def _remedy(label: int) -> str:
    """What to do about a label that is not a class."""
    return f"loss.ignore_index={label}, if it marks what does not count" if label in (IGNORED, VOID) else FROM_0


def tally(y: Tensor, ignore_index: int, place: str, first: int = 0) -> Tensor:
    """How often each label from 0 on occurs in y (N, …), int64; ignore_index left out. Raises ConfigError for labels
    that cannot be classes. place, first: see check_labels."""
    if y.numel() and int(y.max()) >= MOST_CLASSES:
        row = int(y.reshape(len(y), -1).amax(1).argmax())
        text = f"label {int(y.max())} in row {first + row} of {place} is too large for a class"
        raise ConfigError(text, "dataset.task=numbers")
    negative = (y != ignore_index) & (y < 0)
    if bool(negative.any()):
        row, found = (
            first + int(negative.reshape(len(y), -1).any(1).nonzero()[0]),
            sorted(y[y != ignore_index].unique().tolist()),
        )
        label = int(y[negative][0])
        remedy = "store -1 as 0" if found == [-1, 1] else _remedy(label)
        raise ConfigError(f"label {label} in row {row} of {place} is negative", remedy)
    return torch.bincount(y[y != ignore_index].flatten())


def remark(counts: Tensor) -> str | None:
    """A line on class labels that nobody named, where they are odd; None where they are not. counts: see tally."""
    once = len(counts) > 20 and int((counts == 1).sum()) > int((counts > 0).sum()) / 2
    if once or len(counts) > MANY_CLASSES:
        how = ", most of which occur once" if once else ""
        return f"the labels make {len(counts):,} classes{how}: if they are numbers, dataset.task=numbers"
    empty = (counts == 0).nonzero().flatten().tolist()
    if len(counts) == VOID + 1 and VOID - 1 in empty:
        return f"label {VOID} makes {len(counts)} classes: if it marks what does not count, loss.ignore_index={VOID}"
    if empty:
        which = ", ".join(map(str, empty[:4])) + (", …" if len(empty) > 4 else "")
        return f"no row has label {which}: classes count from 0 to the largest label, so there are {len(counts)}"
    return None
