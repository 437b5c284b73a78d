"""Your own Dataset, read row by row: each row a pair that can be collated, like the first one."""

import numbers
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, IterableDataset

from trainer.data import labels
from trainer.errors import ConfigError, TrainerError, described

PROBED = 4  # rows that are read before training, so that most of what does not fit is found before anything is spent
MOST_COUNTED = 1_000  # rows that are read before training for the shares of classes that have names
NUMERIC = (Tensor, np.ndarray, np.generic, numbers.Number)


class Form(NamedTuple):
    """The shapes of a row's input x and target y, and whether the target is a float."""

    x: tuple[int, ...]
    y: tuple[int, ...]
    is_float: bool


class Rows(Dataset[tuple[Any, Any]]):
    """The rows (x, y) of a map-style Dataset; y as in labels.of_row.

    name: for messages. classes: the Dataset's own `classes`, or the labels 0, 1, … up to the largest; None for targets
    that are numbers. labels: of all rows (N,) int64, if there is one each and they had to be read or stand in the
    Dataset's `targets`. form: of every row. notes: lines for the header.
    """

    classes: list[str] | None
    form: Form
    labels: Tensor | None = None

    def __init__(self, dataset: Any, name: str, ignore_index: int, like: "Rows | None" = None) -> None:
        """like: the training rows, whose shapes and classes these must have; None for the training rows themselves.

        Raises ConfigError for a Dataset that cannot be used.
        """
        check_map_style(dataset, name)
        self.dataset, self.name, self.ignore_index = dataset, name, ignore_index
        self.source, self.notes, names = getattr(dataset, "source", ""), list[str](), getattr(dataset, "classes", None)
        self.classes = [str(word) for word in names] if names is not None and len(names) else None
        if like is not None:
            if self.classes not in (None, like.classes):
                text = f"{name} has the classes {self.classes}, but training has {like.classes}"
                raise ConfigError(text, "the same `classes` in the same order")
            self.classes = like.classes
        self.form = like.form if like is not None else self._parsed(self._sample(0), 0)[2]
        probed = [self.read(row) for row in range(min(PROBED, len(dataset)))]
        if self.form.is_float:
            self.classes = None
            return
        self.labels = self._targets([y for _, y in probed])
        if self.classes is None:
            counts = self._tally()
            if not len(counts):
                raise ConfigError(f"every label of {name} is {ignore_index}, which the loss leaves out")
            self.classes = [str(label) for label in range(len(counts))]
            self.notes += filter(None, [labels.remark(counts)])
        elif like is None and self.labels is None and self.form.y == ():
            if len(self) <= MOST_COUNTED:
                self.all_labels()
            else:
                self.notes.append(f"shares of the classes are not counted: {len(self):,} rows without `targets`")

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of a row's input and target."""
        return self.form.x, self.form.y

    def __getitem__(self, row: int) -> tuple[Any, Any]:
        sample = self.dataset[row]
        try:
            return self._checked(sample, row)
        except ConfigError as error:  # training has begun
            raise TrainerError(error.message, error.hint) from error

    def read(self, row: int) -> tuple[Any, Any]:
        """A row, before training. Raises ConfigError where it cannot be read or used."""
        return self._checked(self._sample(row), row)

    def _sample(self, row: int) -> Any:
        try:
            return self.dataset[row]
        except TrainerError:
            raise
        except Exception as error:
            raise ConfigError(f"{self.name}[{row}] raises {described(error)}") from error

    def _parsed(self, sample: Any, row: int) -> tuple[Any, Any, Form]:
        place = f"{self.name}[{row}]"
        if not isinstance(sample, (tuple, list)) or len(sample) != 2:
            raise ConfigError(f"{place} is not a pair (input, target)", "return x, y")
        for what, part in zip(("input", "target"), sample, strict=True):
            if not isinstance(part, NUMERIC) or getattr(getattr(part, "dtype", None), "kind", "b") in "OUSMm":
                text = f"{place}: its {what} is {_kind(part)}, not a number, array or tensor"
                raise ConfigError(text, _instead(part, what))
        x, y = sample[0], labels.of_row(sample[1])
        is_float = not isinstance(y, int) and torch.as_tensor(y).is_floating_point()
        return x, y, Form(tuple(np.shape(x)), tuple(np.shape(y)), is_float)

    def _checked(self, sample: Any, row: int) -> tuple[Any, Any]:
        x, y, form = self._parsed(sample, row)
        if form.is_float != self.form.is_float:
            text = f"the target of {self.name}[{row}] is {'a float' if form.is_float else 'an integer'}, unlike row 0's"
            raise ConfigError(text, "integers for classes, floats for numbers")
        for what, here, there in (("an input", form.x, self.form.x), ("a target", form.y, self.form.y)):
            if here != there:
                text = f"{self.name}[{row}] has {what} of shape {here}, row 0 of {there}"
                raise ConfigError(text, "pad, crop or resize all rows to one shape")
        if not form.is_float and self.classes is not None:
            labels.check_labels(torch.as_tensor(y)[None], len(self.classes), self.name, self.ignore_index, row)
        return x, y

    def _targets(self, probed: Sequence[Any]) -> Tensor | None:
        """The Dataset's `targets` as labels, if they are those of its rows."""
        try:
            found = torch.as_tensor(self.dataset.targets)
            same = len(found) == len(self) and all(int(found[row]) == int(y) for row, y in enumerate(probed))
        except (AttributeError, TypeError, ValueError, RuntimeError):
            return None
        return found.long() if same and found.ndim == 1 and not found.is_floating_point() else None

    def all_labels(self) -> Tensor:
        """The label of every row (N,) int64; reads the rows where the Dataset has no `targets`. Raises ConfigError for
        targets that are not one label each."""
        if self.form.is_float or self.form.y != ():
            raise ConfigError(f"the targets of {self.name} are not classes")
        if self.labels is None:
            self.labels = torch.tensor([self.read(row)[1] for row in range(len(self))])
        return self.labels

    def _tally(self) -> Tensor:
        """How often each label occurs, over all rows."""
        if self.form.y == ():
            return labels.tally(self.all_labels(), self.ignore_index, self.name)
        counts = torch.zeros(0, dtype=torch.int64)
        for row in range(len(self)):
            more = labels.tally(self.read(row)[1][None], self.ignore_index, self.name, row)
            shorter, counts = sorted((counts, more), key=len)
            counts[: len(shorter)] += shorter
        return counts


def check_map_style(dataset: Any, name: str) -> None:
    """Raise ConfigError for what cannot be read by row number."""
    kind = type(dataset)
    reads = getattr(kind, "__getitem__", Dataset.__getitem__) is not Dataset.__getitem__
    if isinstance(dataset, IterableDataset) or not reads or not hasattr(kind, "__len__"):
        text = f"{name} is not a map-style Dataset" + ", but an IterableDataset" * isinstance(dataset, IterableDataset)
        hint = "a class with __len__ and __getitem__, see torch.utils.data.Dataset"
        raise ConfigError(f"{text}: rows are read by their number", hint)
    try:
        num_rows = len(dataset)
    except Exception as error:
        raise ConfigError(f"len({name}) raises {described(error)}") from error
    if num_rows == 0:
        raise ConfigError(f"{name} has no rows")


def _kind(part: Any) -> str:
    if isinstance(part, np.generic) and part.dtype.kind in "US":
        return f"the text {str(part)[:20]!r}"
    if isinstance(part, (np.ndarray, np.generic)):
        return f"an array of {part.dtype}"
    return "a PIL picture" if type(part).__module__.startswith("PIL.") else f"a {type(part).__name__}"


def _instead(part: Any, what: str) -> str:
    if type(part).__module__.startswith("PIL."):
        return "return torchvision.transforms.v2.functional.pil_to_tensor(picture), all of one size"
    if isinstance(part, (str, bytes, np.ndarray, np.generic)):
        named = "`classes = [word, …]` in the Dataset, and return classes.index(word)"
        return named if what == "target" else "return numbers, such as an index for each word"
    return "return torch.as_tensor(…)" if isinstance(part, (list, tuple)) else "return a tensor"
