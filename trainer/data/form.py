"""The form of a row: its parts, their kinds and shapes. Rows that differ from the first one are refused here."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from trainer.data import sample, tree
from trainer.data.tree import Tree
from trainer.errors import ConfigError
from trainer.text import counted, listed

PAIR = "return (input, target)"
STACK = {"input": "pad_sequence(inputs, batch_first=True) or torch.stack(inputs)", "target": "torch.tensor(targets)"}


def check_numbers(x: Tree, y: Tree, place: str) -> None:
    """Raise ConfigError for a part of a row that is not a number, array or tensor. place: what messages call the
    row."""
    for what, part in (("input", x), ("target", y)):
        for path, leaf in tree.named(part):
            name = f"{what} {path}" if path else what
            if (kind := sample.kind_of(leaf)) is not None:
                raise ConfigError(f"{place}: its {name} is {kind}, not a number, array or tensor", _instead(leaf, what))
            if isinstance(leaf, Tensor) and leaf.is_meta:
                text = f"{place}: its {name} is on the device 'meta', which holds no numbers"
                raise ConfigError(text, "return tensors on the CPU; the run moves each batch to its device")


def check_batch(x: Tree, y: Tree, num_rows: int, place: str) -> None:
    """Raise ConfigError for a batch of a collate_fn that holds a list of its rows, or a number without their axis. x,
    y: leaves are tensors."""
    for what, part in (("input", x), ("target", y)):
        leaves = tree.leaves(part)
        is_list = isinstance(part, tuple) and len(part) == num_rows
        if any(not leaf.ndim or (is_list and len(leaf) != num_rows) for leaf in leaves):
            held = f"a list of {counted(num_rows, 'row')}" if is_list else "a number without an axis for the rows"
            text = f"{place}: its {what} is {held}, not a tensor with a row for each sample"
            raise ConfigError(text, f"{STACK[what]} in collate_fn")


def check_names(x: Tree, y: Tree, place: str) -> None:
    """Raise ConfigError where two parts of the input or of the target have one name, as {"a.b": …, "a": {"b": …}}."""
    for what, part in (("input", x), ("target", y)):
        if (path := tree.repeated(part)) is not None:
            raise ConfigError(f"{place}: two parts of its {what} are called {path}", "another name for one of them")


def check_complete(x: Tree, place: str) -> None:
    """Raise ConfigError for an input without a tensor, or with None in it."""
    are_none = pytree.tree_leaves(tree.structure(x))
    if any(are_none) or not are_none:
        text = f"{place}: its input is empty" if all(are_none) else f"{place}: a part of its input is None"
        raise ConfigError(text, "give the model at least one tensor, and leave out what is None")


def unlike(found: Any, keys: Sequence[Any], place: str) -> ConfigError:
    """The error for a row without a part that the first row has. keys: those that are picked of each row."""
    if found is None:
        return ConfigError(f"{place} is None, unlike row 0: __getitem__ returns nothing there", PAIR)
    if isinstance(found, Mapping):
        missing = ", ".join(repr(key) for key in keys if key not in found)
        text = f"{place} has no {missing}, which row 0 has; its keys are {listed(list(map(str, found)))}"
        return ConfigError(text, "the same keys in every row")
    what = f"has {counted(len(found), 'part')}" if isinstance(found, (tuple, list)) else f"is a {type(found).__name__}"
    return ConfigError(f"{place} {what}, unlike row 0", "the same parts in every row")


def check_like(what: str, here: Tree, there: Tree, place: str) -> None:
    """Raise ConfigError for a row unlike the first one. what: input or target; here, there: of this and the first
    row."""
    if tree.structure(here) != tree.structure(there):
        text = f"the {what} of {place} {_parts(here)}, that of row 0 {_parts(there)}"
        raise ConfigError(text, "the same parts in every row")
    firsts = dict(tree.named(there))
    for path, leaf in tree.named(here):
        first = firsts[path]
        name = f"{what} {path}" if path else what
        if what == "target" and torch.as_tensor(leaf).is_floating_point() != first.is_floating_point():
            kind = "an integer" if first.is_floating_point() else "a float"
            text = f"the {name} of {place} is {kind}, unlike row 0's"
            raise ConfigError(text, "integers for classes, floats for numbers")
        if (shape := tuple(np.shape(leaf))) != tuple(first.shape):
            article = "an" if what == "input" else "a"
            text = f"{place} has {article} {name} of shape {shape}, row 0 of {tuple(first.shape)}"
            raise ConfigError(text, "pad, crop or resize all rows to one shape; or a collate_fn in the Dataset")


def _parts(part: Tree) -> str:
    """The structure of an input or target, in words."""
    if isinstance(part, (Mapping, tuple, list)):
        return f"has the parts {', '.join(path for path, _ in tree.named(part))}"
    return "is None" if part is None else "is one tensor"


def _instead(part: Any, what: str) -> str:
    if type(part).__module__.startswith("PIL."):
        return "return torchvision.transforms.v2.functional.pil_to_tensor(picture), all of one size"
    if isinstance(part, (str, bytes, np.ndarray, np.generic)):
        named = "`classes = [word, …]` in the Dataset, and return classes.index(word)"
        return named if what == "target" else "return numbers, such as an index for each word"
    return "return torch.as_tensor(…)" if isinstance(part, (list, tuple)) else "return a tensor"
