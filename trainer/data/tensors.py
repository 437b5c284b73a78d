"""A Dataset whose rows are tensors, as all bundled data sets are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

from torch import Tensor
from torch.utils.data import Dataset

from trainer.data import tree
from trainer.data.meaning import Meaning
from trainer.data.tree import Tree
from trainer.errors import ConfigError

Scaling = Literal["none", "standardize", "standardize_whole"] | tuple[float, float]


class TensorData(Dataset[tuple[Tree, Tree]]):
    """All rows in memory, in the dtype in which they are stored.

    x: (N, *shape), or a tree of such. y: (N,) int64 class indices if `classes` names them, else (N, outputs) float
    numbers; or, with a `meaning`, as the task takes them.
    scaling: of x, see scaling.py: "standardize" each column or "standardize_whole" by all values of the training split,
    a known (mean, standard deviation) of the stored values, or "none". scale_targets: standardise y too, for numbers
    far from 0. val, test: the rows that validate and the official test set, if they come with the data. source, notes:
    where the data comes from and lines on it, for the header. columns: the names of the numbers of a row, for the
    report.
    """

    truth: Mapping[str, float] = MappingProxyType({})  # the numbers to learn by name, if the formula is known
    picture_files: Sequence[str] = ()  # of every row, if rows are pictures of a folder

    def __init__(
        self,
        x: Tree,
        y: Tree,
        *,
        meaning: Meaning | None = None,
        classes: Sequence[str] | None = None,
        scaling: Scaling = "none",
        scale_targets: bool = False,
        val: "TensorData | None" = None,
        test: "TensorData | None" = None,
        source: str = "",
        notes: Sequence[str] = (),
        columns: Sequence[str] = (),
    ) -> None:
        if meaning is None and classes is not None:
            y, meaning = y.long(), Meaning("classes", "", list(classes), len(classes))
        self.x, self.y = x, y
        self.meaning = meaning or Meaning("numbers", "", None, max(1, y[0].numel()))
        self.scaling, self.scale_targets = scaling, scale_targets
        self.val, self.test = val, test
        self.source, self.notes, self.columns = source, notes, columns

    def with_task(self, task: str, ignored: int, name: str) -> "TensorData":
        """The same data for another task: its input as the target, or class indices as numbers. ignored: the class
        index that does not count. Raises ConfigError."""
        if task in ("auto", self.meaning.task):
            self.meaning = replace(self.meaning, ignored=ignored)
            return self
        if task == "input" and isinstance(self.x, Tensor):
            y, size = self.x, max(1, int(self.x[0].numel()))
        elif task == "numbers" and self.meaning.task == "classes":
            y, size = self.y.double()[:, None], 1
        else:
            text = f"dataset.task={task}, but {name} holds {self.meaning.task}"
            raise ConfigError(text, "dataset.task=auto", "dataset.task")
        others = (self.val, self.test)
        val, test = (None if part is None else part.with_task(task, ignored, name) for part in others)
        rest = {key: getattr(self, key) for key in ("scaling", "source", "notes", "columns")}
        meaning = Meaning(task, "dataset.task", None, size)
        return TensorData(self.x, y, meaning=meaning, scale_targets=task == "numbers", val=val, test=test, **rest)

    def settle(self, num_outputs: int) -> None:
        """Take the classes of a model, see Meaning.settled. Raises ConfigError for a label that is none of them."""
        if self.meaning.counted and isinstance(self.y, Tensor):
            self.meaning = self.meaning.settled(num_outputs)
            self.meaning.check(self.y, self.source or "the data")

    @property
    def trees(self) -> dict[str, Tree]:
        """x and y by name; without y where it is x."""
        return {"x": self.x} if self.y is self.x else {"x": self.x, "y": self.y}

    @property
    def tensors(self) -> list[Tensor]:
        """Those of x and y, each once."""
        return [leaf for some in self.trees.values() for leaf in tree.leaves(some)]

    @property
    def classes(self) -> list[str] | None:
        """The names of the classes, if the targets are some: for who takes a shipped dataset into a program."""
        return self.meaning.classes

    @property
    def labels(self) -> Tensor | None:
        """The labels of all rows (N,) int64; None for other targets."""
        return self.y if self.meaning.task == "classes" else None

    def __len__(self) -> int:
        return tree.num_rows(self.x)

    def __getitem__(self, index: int | Tensor) -> tuple[Tree, Tree]:
        return tree.mapped(lambda leaf: leaf[index], self.x), tree.mapped(lambda leaf: leaf[index], self.y)

    def read(self, index: int) -> tuple[Tree, Tree]:
        """A row, before training."""
        return self[index]

    def collate(self, rows: Sequence[tuple[Tree, Tree]]) -> tuple[Tree, Tree]:
        """The batch (x, y) of some rows."""
        x, y = tree.stacked(rows)
        return x, y
