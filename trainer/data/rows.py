"""Your own Dataset, read row by row: rows (input, target), each a tree like that of the first row."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from trainer.data import labels, map_style, meaning, sample, tree
from trainer.data.meaning import Meaning
from trainer.data.sample import AUTO, Choice, Pick
from trainer.data.tree import Tree
from trainer.errors import ConfigError, TrainerError, described

PROBED = 4  # rows that are read before training, so that most of what does not fit is found before anything is spent
MOST_COUNTED = 1_000  # rows that are read before training for the shares of classes that have names


@dataclass(frozen=True)
class Keys:
    """What dataset.inputs, dataset.target and dataset.task say. outputs: of the model; None where it takes them from
    the data. ignored: the label that the loss leaves out."""

    inputs: Pick = AUTO
    target: Pick = AUTO
    task: str = AUTO
    outputs: int | None = None
    ignored: int = labels.IGNORED


class Rows(Dataset[Any]):
    """The rows (x, y) of a map-style Dataset; y as its meaning has it. `collate` makes a batch of them. Of a Dataset
    with a collate_fn the rows are its samples as they are.

    name: for messages. meaning: of the targets. form: (x, y) of the first row, as tensors. labels: of all rows (N,)
    int64, if there is one each and they had to be read or stand in the Dataset's `targets`. notes: lines for the
    header.
    """

    choice: Choice
    form: tuple[Tree, Tree]
    meaning: Meaning
    labels: Tensor | None = None

    def __init__(self, dataset: Any, name: str, keys: Keys, like: "Rows | None" = None) -> None:
        """like: the training rows, whose form and classes these must have; None for the training rows themselves.

        Raises ConfigError for a Dataset that cannot be used.
        """
        map_style.check(dataset, name)
        self.dataset, self.name, self.keys = dataset, name, keys
        source, names = getattr(dataset, "source", ""), getattr(dataset, "classes", None)
        self.source, self.notes = source if isinstance(source, str) else "", list[str]()
        self.pads: Callable[..., Any] | None = getattr(dataset, "collate_fn", None)
        words = [str(word) for word in names] if names is not None and len(names) else None
        if like is not None and words not in (None, like.classes):
            text = f"{name} has the classes {words}, but training has {like.classes}"
            raise ConfigError(text, "the same `classes` in the same order")
        if like is not None:
            self.choice, self.form, self.meaning = like.choice, like.form, like.meaning
        else:
            self.choice = sample.choose(self._collated([0]), f"{name}[0]", keys.inputs, keys.target)
            self.notes += filter(None, [self.choice.note])
            self.form = self._form()
            self.meaning = self._decided()
        probed = [self.target(row) for row in range(min(PROBED, len(dataset)))]
        if self.meaning.task == "classes":
            self.labels = self._listed(probed)
        if like is None:
            self._name_classes(words)

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes, if the targets are some."""
        return self.meaning.classes

    def __getitem__(self, row: int) -> Any:
        found = self.dataset[row]
        try:
            return found if self.pads is not None else self._checked(found, row)
        except ConfigError as error:  # training has begun
            raise TrainerError(error.message, error.hint) from error

    def read(self, row: int) -> Any:
        """A row, before training. Raises ConfigError where it cannot be read or used."""
        found = self._sample(row)
        return found if self.pads is not None else self._checked(found, row)

    def collate(self, rows: Sequence[Any]) -> tuple[Tree, Tree]:
        """The batch (x, y) of some rows, as they are read."""
        if self.pads is None:
            x, y = tree.stacked(rows)
            return x, y
        x, y = self.choice(self.pads(list(rows)))
        x, y = tree.mapped_leaves(torch.as_tensor, x), self.meaning.of_batch(y)
        self.meaning.check(y, self.name)
        return x, y

    def all_labels(self) -> Tensor:
        """The label of every row (N,) int64; reads the rows where the Dataset has no `targets`. Raises ConfigError for
        targets that are not one label each."""
        if self.meaning.task != "classes":
            raise ConfigError(f"the targets of {self.name} are not classes")
        if self.labels is None:
            self.labels = torch.tensor([int(self.target(row)) for row in range(len(self))])
        return self.labels

    def target(self, row: int) -> Tree:
        """The target of a row, before training."""
        _, y = self.collate([self.read(row)])
        return tree.mapped(lambda leaf: leaf[0], y)

    def _sample(self, row: int) -> Any:
        try:
            return self.dataset[row]
        except TrainerError:
            raise
        except Exception as error:
            raise ConfigError(f"{self.name}[{row}] raises {described(error)}") from error

    def _collated(self, rows: Sequence[int]) -> Any:
        """Rows as the keys pick from them: a batch if the Dataset has a collate_fn, else the first one's sample."""
        if self.pads is None:
            return self._sample(rows[0])
        found = [self._sample(row) for row in rows]
        try:
            return self.pads(found)
        except Exception as error:
            named = ", ".join(f"{self.name}[{row}]" for row in rows)
            raise ConfigError(f"{self.name}.collate_fn([{named}]) raises {described(error)}") from error

    def _form(self) -> tuple[Tree, Tree]:
        probed = range(min(PROBED, len(self)))  # of padded rows, the first may be one word long
        x, y = (tree.mapped_leaves(torch.as_tensor, part) for part in self._pair(self._collated(probed), 0))
        if self.pads is None:
            return x, y
        return tree.mapped(lambda leaf: leaf[0], x), tree.mapped(lambda leaf: leaf[0], y)

    def _pair(self, found: Any, row: int) -> tuple[Any, Any]:
        """(x, y) of a sample, or of a batch of it. Raises ConfigError for parts that are missing or no numbers."""
        place = f"{self.name}[{row}]"
        try:
            x, y = self.choice(found)
        except (KeyError, IndexError, TypeError) as error:
            has = (
                f"the keys {', '.join(map(str, found))}" if isinstance(found, Mapping) else f"a {type(found).__name__}"
            )
            raise ConfigError(f"{place} is unlike row 0: it is {has}", "the same parts in every row") from error
        for what, part in (("input", x), ("target", y)):
            for path, leaf in tree.named(part):
                if (kind := sample.kind_of(leaf)) is not None:
                    text = f"{place}: its {what}{f' {path}' * bool(path)} is {kind}, not a number, array or tensor"
                    raise ConfigError(text, _instead(leaf, what))
        return x, y

    def _checked(self, found: Any, row: int) -> tuple[Any, Any]:
        x, y = self._pair(found, row)
        for what, here, there in (("input", x, self.form[0]), ("target", y, self.form[1])):
            self._compare(what, here, there, row)
        y = self.meaning.of_row(y)
        if self.meaning.classes is not None:
            self.meaning.check(torch.as_tensor(y)[None], self.name, row)
        return x, y

    def _compare(self, what: str, here: Tree, there: Tree, row: int) -> None:
        """Raise ConfigError for a row unlike the first one."""
        place = f"{self.name}[{row}]"
        if tree.structure(here) != tree.structure(there):
            mine, first = (", ".join(path for path, _ in tree.named(part)) for part in (here, there))
            text = f"the {what} of {place} has the parts {mine}, that of row 0 {first}"
            raise ConfigError(text, "the same parts in every row")
        for (path, leaf), (_, first) in zip(tree.named(here), tree.named(there), strict=True):
            name = f"{what} {path}" if path else what
            is_float = torch.as_tensor(leaf).is_floating_point()
            if what == "target" and is_float != first.is_floating_point():
                text = f"the {name} of {place} is {'a float' if is_float else 'an integer'}, unlike row 0's"
                raise ConfigError(text, "integers for classes, floats for numbers")
            if (shape := tuple(np.shape(leaf))) != tuple(first.shape):
                article = "an" if what == "input" else "a"
                text = f"{place} has {article} {name} of shape {shape}, row 0 of {tuple(first.shape)}"
                raise ConfigError(text, "pad, crop or resize all rows to one shape; or a collate_fn in the Dataset")

    def _decided(self) -> Meaning:
        """What the targets mean, without the names of classes."""
        x, y = self.form
        keys, same = self.keys, self.choice.is_whole
        found = meaning.decide(
            x,
            y,
            f"{self.name}[0]",
            same=same,
            asked=keys.task,
            outputs=keys.outputs,
            zero_and_one=self._zero_and_one,
        )
        return replace(found, ignored=self.keys.ignored)

    def _zero_and_one(self) -> bool:
        """Whether all whole numbers in the targets are 0 or 1, as many in each row. Reads rows up to the first other
        one."""
        rows = (torch.as_tensor(self._pair(self._collated([row]), row)[1]) for row in range(len(self)))
        size = self.form[1].numel()
        return all(y.numel() == size and bool(((y == 0) | (y == 1)).all()) for y in rows)

    def _name_classes(self, words: list[str] | None) -> None:
        self.meaning, notes = meaning.named(self.meaning, words, self.name, self._tally)
        self.notes += notes
        if self.meaning.task == "classes" and words is not None and self.labels is None:
            if len(self) <= MOST_COUNTED:
                self.all_labels()
            else:
                self.notes.append(f"shares of the classes are not counted: {len(self):,} rows without `targets`")

    def _listed(self, probed: Sequence[Any]) -> Tensor | None:
        """The Dataset's `targets` as labels, if they are those of its rows."""
        try:
            found = torch.as_tensor(self.dataset.targets)
            same = len(found) == len(self) and all(int(found[row]) == int(y) for row, y in enumerate(probed))
        except (AttributeError, TypeError, ValueError, RuntimeError):
            return None
        return found.long() if same and found.ndim == 1 and not found.is_floating_point() else None

    def _tally(self) -> Tensor:
        """How often each label occurs, over all rows."""
        if self.meaning.task == "classes":
            return labels.tally(self.all_labels(), self.keys.ignored, self.name)
        counts = torch.zeros(0, dtype=torch.int64)
        for row in range(len(self)):
            more = labels.tally(self.target(row)[None], self.keys.ignored, self.name, row)
            shorter, counts = sorted((counts, more), key=len)
            counts[: len(shorter)] += shorter
        return counts


def _instead(part: Any, what: str) -> str:
    if type(part).__module__.startswith("PIL."):
        return "return torchvision.transforms.v2.functional.pil_to_tensor(picture), all of one size"
    if isinstance(part, (str, bytes, np.ndarray, np.generic)):
        named = "`classes = [word, …]` in the Dataset, and return classes.index(word)"
        return named if what == "target" else "return numbers, such as an index for each word"
    return "return torch.as_tensor(…)" if isinstance(part, (list, tuple)) else "return a tensor"
