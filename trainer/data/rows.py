"""Your own Dataset, read row by row: rows (input, target), each a tree like that of the first row."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from trainer.data import collation, facts, form, labels, map_style, meaning, sample, tree
from trainer.data.keys import Keys
from trainer.data.meaning import Meaning
from trainer.data.sample import AUTO, Choice
from trainer.data.scan import scan
from trainer.data.tree import Tree
from trainer.errors import DISK, ConfigError, TrainerError, described
from trainer.text import counted

PROBED = 4  # rows that are read before training, so that most of what does not fit is found before anything is spent
SCANNED = 16  # rows that are read at once to look at all of them
MOST_COUNTED = 1_000  # rows that are read before training for the shares of classes that have names


class Rows(Dataset[Any]):
    """The rows (x, y) of a map-style Dataset; y as its meaning has it. `collate` makes a batch of them. Of a Dataset
    with a collate_fn the rows are its samples as they are.

    name: for messages. meaning: of the targets. form: (x, y) of the first row, as tensors. labels: of all rows (N,)
    int64, if there is one each and they had to be read or stand in the Dataset's `targets`. largest: the largest whole
    number of all rows in each input, if the model asks for it. notes: lines for the header.
    """

    choice: Choice
    form: tuple[Tree, Tree]
    meaning: Meaning
    labels: Tensor | None = None
    largest: Sequence[int | None] = ()

    def __init__(self, dataset: Any, name: str, keys: Keys, like: "Rows | None" = None) -> None:
        """like: the training rows, whose form and classes these must have; None for the training rows themselves.
        Raises ConfigError for a Dataset that cannot be used."""
        map_style.check(dataset, name)
        self.dataset, self.name, self.keys = dataset, name, keys
        self.picture_files: Sequence[str] = getattr(dataset, "picture_files", ())  # of every row of a picture folder
        source = getattr(dataset, "source", "")
        self.source, self.notes = source if isinstance(source, str) else "", list[str]()
        self.pads: Callable[..., Any] | None = getattr(dataset, "collate_fn", None)
        self.first = f"{name}[0]" if self.pads is None else f"the batch of {name}.collate_fn"  # in messages
        self.lately: list[int] = []  # the rows that were read and not collated yet, of a Dataset with a collate_fn
        words = meaning.words_of(getattr(dataset, "classes", None), name)
        if like is not None and words not in (None, like.classes):
            text = f"{name} has the classes {words}, but training has {like.classes}"
            raise ConfigError(text, "the same `classes` in the same order")
        if like is not None:
            self.choice, self.form, self.meaning = like.choice, like.form, like.meaning
        else:
            self.choice = sample.choose(self._collated([0]), self.first, keys.inputs, keys.target)
            self.notes += filter(None, [self.choice.note])
            self.form = self._form()
            self.meaning = self._decided()
        probed = [self.target(row) for row in range(min(PROBED, len(dataset)))]
        if self.meaning.task == "classes":
            self.labels = self._listed(probed)
        if like is None:
            self._name_classes(words)
            if keys.vocabulary and any(map(facts.is_index, tree.leaves(self.form[0]))):
                self.largest = self._scanned[1]
        if self.labels is not None:
            self.meaning.check(self.labels, self.name)

    def __len__(self) -> int:
        return len(self.dataset)

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes, if the targets are some."""
        return self.meaning.classes

    def __getitem__(self, row: int) -> Any:
        try:
            return self.read(row)
        except ConfigError as error:  # training has begun
            raise TrainerError(error.message, error.hint) from error

    def read(self, row: int) -> Any:
        """A row, before training. Raises ConfigError where it cannot be read or used."""
        found = self._sample(row)
        if self.pads is None:
            return self._checked(found, row)
        self.lately.append(row)
        return found

    def settle(self, num_outputs: int) -> None:
        """Take the classes of a model, see Meaning.settled. Raises ConfigError for a label of the first rows that is
        none of them."""
        if self.meaning.counted:
            self.meaning = self.meaning.settled(num_outputs)
            for row in range(min(PROBED, len(self))):
                self.target(row)

    def collate(self, rows: Sequence[Any]) -> tuple[Tree, Tree]:
        """The batch (x, y) of some rows, as they are read."""
        if self.pads is None:
            x, y = tree.stacked(rows)
            return x, y
        read, self.lately = self.lately[-len(rows) :], []
        x, y = self._pair(collation.batch(self.dataset, rows, read, self.name), self.first)
        x, y = tree.mapped_leaves(torch.as_tensor, x), self.meaning.of_batch(y)
        if self.meaning.task not in ("input", "free") and len(y) != len(rows):
            text = f"{self.name}.collate_fn gives {counted(len(y), 'target')} for {counted(len(rows), 'row')}"
            raise ConfigError(text, "a target for each row, in their order; or dataset.task=free")
        self._check(y, read)
        return x, y

    def _check(self, y: Tree, read: Sequence[int]) -> None:
        """Raise ConfigError for class indices of a batch that are no classes. read: its rows."""
        try:
            self.meaning.check(y, self.name)
        except ConfigError:
            for row, one in zip(read, y, strict=False):
                self.meaning.check(one[None], self.name, row)
            raise

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
        except collation.PASSED:
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in DISK:
                raise
            raise ConfigError(f"{self.name}[{row}] raises {described(error)}") from error

    def _collated(self, rows: Sequence[int]) -> Any:
        """Rows as the keys pick from them: a batch if the Dataset has a collate_fn, else the first one's sample."""
        if self.pads is None:
            return self._sample(rows[0])
        return collation.batch(self.dataset, [self._sample(row) for row in rows], rows, self.name)

    def _form(self) -> tuple[Tree, Tree]:
        probed = range(min(PROBED, len(self)))  # of padded rows, the first may be one word long
        pair = self._pair(self._collated(probed), self.first)
        form.check_names(*pair, self.first)
        form.check_complete(pair[0], self.first)
        x, y = (tree.mapped_leaves(torch.as_tensor, part) for part in pair)
        if self.pads is None:
            return x, y
        form.check_batch(x, y, len(probed), self.first)
        return tree.mapped(lambda leaf: leaf[0], x), tree.mapped(lambda leaf: leaf[0], y)

    def _pair(self, found: Any, place: str) -> tuple[Any, Any]:
        """(x, y) of a sample, or of a batch of it. Raises ConfigError for parts that are missing or no numbers."""
        if found is None:
            raise form.unlike(found, (), place)
        try:
            x, y = self.choice(found)
        except (KeyError, IndexError, TypeError) as error:
            raise form.unlike(found, self.choice.keys, place) from error
        form.check_numbers(x, y, place)
        return x, y

    def _checked(self, found: Any, row: int) -> tuple[Any, Any]:
        place = f"{self.name}[{row}]"
        x, y = self._pair(found, place)
        for what, here, there in (("input", x, self.form[0]), ("target", y, self.form[1])):
            form.check_like(what, here, there, place)
        y = self.meaning.of_row(y)
        if self.meaning.classes is not None and not self.meaning.is_class(y):
            self.meaning.check(torch.as_tensor(y)[None], self.name, row)
        return x, y

    def _decided(self) -> Meaning:
        """What the targets mean, without the names of classes."""
        x, y = self.form
        keys, same = self.keys, self.choice.is_whole
        found = meaning.decide(
            x,
            y,
            self.first,
            same=same,
            asked=keys.task,
            outputs=keys.outputs,
            zero_and_one=self._zero_and_one,
        )
        is_list = found.task == "numbers" and keys.task == AUTO and y.ndim == 1 and len(y) > 1
        if is_list and self._zero_and_one(min(MOST_COUNTED, len(self))):
            self.notes.append(meaning.LABELS_HINT)
        return replace(found, ignored=keys.ignored, why=keys.why or found.why)

    def _zero_and_one(self, num_rows: int | None = None) -> bool:
        """Whether all numbers in the targets are 0 or 1, as many in each row. Reads rows up to the first other one.
        num_rows: of the first rows; None for all."""

        def target(row: int) -> Tensor:
            place = f"{self.name}[{row}]"
            _, y = self._pair(self._collated([row]), place)
            if self.pads is None:
                form.check_like("target", y, self.form[1], place)
            return torch.as_tensor(y)

        size = self.form[1].numel()
        rows = map(target, range(num_rows or len(self)))
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
        return self._scanned[0]

    @cached_property
    def _scanned(self) -> tuple[Tensor, Sequence[int | None]]:
        """(How often each label of tokens or pixels occurs, the largest whole number of each input), over all rows."""
        groups = (range(first, min(first + SCANNED, len(self))) for first in range(0, len(self), SCANNED))
        batches = (self.collate([self.read(row) for row in rows]) for rows in groups)  # padding is an index too
        return scan(batches, self.name, self.keys.ignored, with_labels=self.meaning.task in ("tokens", "pixels"))
