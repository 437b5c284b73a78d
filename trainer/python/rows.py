"""The rows that a program hands over: (x, y), a Dataset or a DataFrame, or a dict of them by split."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from trainer.config import given
from trainer.data import arrays, tree
from trainer.data.roles import ROLES
from trainer.errors import ConfigError
from trainer.text import listed

FORMS = "data=(x, y), a Dataset, a DataFrame, or {'train': …, 'val': …, 'test': …} of one of them"
FRAMES = ("pandas", "polars", "pyarrow")
Rows = dict[str, Any]
Read = Callable[[Rows], tuple[Rows, dict[str, Any]]]


def read(data: Any, classes: Sequence[str] | None = None) -> tuple[Rows, dict[str, Any]]:
    """(What given.Given holds of some data, the node of the dataset in the config). classes: the names that targets of
    text have in a run; None: they are found here. Raises ConfigError."""
    parts: Rows = {"train": data}
    if isinstance(data, Mapping):
        parts = dict(data)
        if "train" not in parts or not parts.keys() <= ROLES.keys():
            raise ConfigError(f"data is a dict with {listed(list(map(str, parts)))}", FORMS)
    kinds = [_kind(part, name) for name, part in parts.items()]
    if any(kind is not kinds[0] for kind in kinds):
        raise ConfigError("the parts of data are of different kinds", FORMS)
    return _of_arrays(parts, classes) if kinds[0] is _of_arrays else kinds[0](parts)


def _kind(part: Any, name: str) -> Read:
    if is_frame(part):
        return _of_frames
    if isinstance(part, (tuple, list)) and len(part) == 2:
        x, y = part
        if is_frame(x) and is_column(y):
            return _of_frames
        return _of_trees if isinstance(x, (tuple, Mapping)) or isinstance(y, (tuple, Mapping)) else _of_arrays
    if isinstance(part, DataLoader):
        text = "data is a DataLoader, but trainer makes the batches"
        raise ConfigError(text, "data=loader.dataset, loader__batch_size=64")
    reads = hasattr(type(part), "__getitem__") and not isinstance(part, (Tensor, np.ndarray, str, list, tuple))
    if reads or isinstance(part, Dataset):
        return _of_datasets
    what = "data" if name == "train" else f"data['{name}']"
    raise ConfigError(f"{what} is a {type(part).__name__}, which holds no inputs and targets", FORMS)


def is_frame(thing: Any) -> bool:
    """Whether an object is a table of pandas, polars or Arrow."""
    return type(thing).__module__.partition(".")[0] in FRAMES and hasattr(thing, "columns")


def is_column(thing: Any) -> bool:
    """Whether an object holds a value for each row of a table."""
    return getattr(thing, "ndim", 1) == 1 and hasattr(thing, "__len__") and not isinstance(thing, (str, Mapping))


def _of_frames(parts: Rows) -> tuple[Rows, dict[str, Any]]:
    from trainer.data.tabular.frame import to_arrow  # imports pyarrow

    tables, node = Rows(), {"_target_": "trainer.data.table.Frame", "of": _shapes(parts)}
    for name, part in parts.items():
        if is_frame(part):
            tables[name] = to_arrow(part)
            continue
        table, target = to_arrow(part[0]), str(getattr(part[1], "name", None) or "target")
        if target in table.column_names:
            raise ConfigError(f"y is called {target}, and so is a column of x", f"y.rename('{target}_')")
        if len(part[1]) != table.num_rows:
            raise ConfigError(f"x has {table.num_rows:,} rows, and y {len(part[1]):,}", "one target for each row")
        import pyarrow as pa

        y = part[1].to_arrow() if hasattr(part[1], "to_arrow") else pa.array(part[1], from_pandas=True)
        tables[name] = table.append_column(target, y)
        node["target"] = target
    return tables, node


def _of_arrays(parts: Rows, classes: Sequence[str] | None = None) -> tuple[Rows, dict[str, Any]]:
    node: dict[str, Any] = {"_target_": "trainer.data.arrays.Given", "of": _shapes(parts)}
    pairs = {name: [tensor(x, "x"), _targets(y)] for name, (x, y) in parts.items()}
    texts = [isinstance(y, list) for _, y in pairs.values()]
    if any(texts):
        if not all(texts):
            raise ConfigError("the targets of one part of data are text, and those of another numbers", FORMS)
        names = list(classes) if classes is not None else sorted({*pairs["train"][1]})
        known = {name: place for place, name in enumerate(names)}
        for name, pair in pairs.items():
            if strange := sorted({*pair[1]} - {*names}):
                raise ConfigError(f"data['{name}'] has the class {strange[0]}, which training does not have", FORMS)
            pair[1] = torch.tensor([known[text] for text in pair[1]])
        node["classes"] = names
    return {name: tuple(pair) for name, pair in pairs.items()}, node


def _targets(y: Any) -> Tensor | list[str]:
    """Targets as a tensor; of text as a list. Raises ConfigError for missing ones."""
    if isinstance(y, Tensor):
        return tensor(y, "y")
    array = np.asarray(y)
    if array.dtype.kind not in "OUS":
        return tensor(array, "y")
    values = array.ravel().tolist()
    if any(value is None or value != value for value in values):
        raise ConfigError("y has rows without a target", "leave these rows out")
    if all(isinstance(value, (bool, int, float)) for value in values):  # as the values of a DataFrame of mixed columns
        return tensor(np.array(values).reshape(array.shape), "y")
    if array.ndim != 1:
        raise ConfigError("y holds text in several columns", "one class for each row")
    return [str(value) for value in values]


def tensor(values: Any, name: str) -> Tensor:
    """Values as a tensor on the CPU. Raises ConfigError for text."""
    if isinstance(values, Tensor):
        if values.layout is not torch.strided:
            raise ConfigError(f"{name} is a sparse tensor", f"{name}.to_dense()")
        return values.detach().cpu()
    try:
        array = np.asarray(values)
    except ValueError as error:  # rows of different lengths
        raise ConfigError(f"{name} is not an array: {error}", FORMS) from error
    if array.dtype.kind in "OUS":
        raise ConfigError(f"{name} holds text or objects, not numbers", "a DataFrame, for columns of text")
    return arrays.tensor(array, name)


def _of_trees(parts: Rows) -> tuple[Rows, dict[str, Any]]:
    return _of_datasets({name: TreeRows(*map(_tensors, part)) for name, part in parts.items()})


def _tensors(values: Any) -> Any:
    return tree.mapped_leaves(lambda leaf: tensor(leaf, "data"), values)


def _of_datasets(parts: Rows) -> tuple[Rows, dict[str, Any]]:
    train = parts["train"]
    node = {"_target_": given.TARGETS["dataset"], "of": given.class_of(train)}
    return {"train": train if len(parts) == 1 else WithSplits(parts)}, node


class TreeRows(Dataset[Any]):
    """The rows (input, target) of trees of tensors, each with as many rows."""

    def __init__(self, x: Any, y: Any) -> None:
        self.x, self.y = x, y
        if len(counts := sorted({len(leaf) for leaf in tree.leaves((x, y))})) != 1:
            raise ConfigError(f"the tensors of data have {counts[0]:,} and {counts[-1]:,} rows", "one number of rows")

    def __len__(self) -> int:
        return tree.num_rows(self.x)

    def __getitem__(self, row: int) -> Any:
        return tuple(tree.mapped(lambda leaf: leaf[row], one) for one in (self.x, self.y))


class WithSplits(Dataset[Any]):
    """The Dataset that trains, with those that validate and test as its attributes. parts: by split."""

    def __init__(self, parts: Rows) -> None:
        self.dataset, self.val, self.test = parts["train"], parts.get("val"), parts.get("test")
        self.given_as = given.class_of(self.dataset)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, row: int) -> Any:
        return self.dataset[row]

    def __getattr__(self, name: str) -> Any:
        if name == "dataset":  # while it is unpickled
            raise AttributeError(name)
        return getattr(self.dataset, name)


def _shapes(parts: Rows) -> str:
    """How large the parts are, for people."""
    return ", ".join(
        f"{name} {_shape(tuple(part) if isinstance(part, list) else part)}" for name, part in parts.items()
    )


def _shape(part: Any) -> str:
    if isinstance(part, tuple):
        return " and ".join(_shape(one) for one in part)
    if isinstance(part, Mapping):
        return listed([f"{name} {_shape(one)}" for name, one in part.items()])
    shape = getattr(part, "shape", None)
    shape = (len(part),) if shape is None else shape
    return "×".join(map(str, shape)) or "1"
