"""A Dataset whose rows are tensors, as all bundled data sets are."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

from torch import Tensor
from torch.utils.data import Dataset

Scaling = Literal["none", "standardize", "standardize_whole"] | tuple[float, float]


class TensorData(Dataset[tuple[Tensor, Tensor]]):
    """All rows in memory, in the dtype in which they are stored.

    x: (N, *shape). y: (N,) int64 class indices if `classes` names them, else (N, outputs) float numbers.
    scaling: of x, see scaling.py: "standardize" each column or "standardize_whole" by all values of the training split,
    a known (mean, standard deviation) of the stored values, or "none". scale_targets: standardise y too, for numbers
    far from 0. test: the official test set, if there is one. source, notes: where the data comes from and lines on it,
    for the header. columns: the names of the numbers of a row, for the report.
    """

    truth: Mapping[str, float] = MappingProxyType({})  # the numbers to learn by name, if the formula is known

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        *,
        classes: Sequence[str] | None = None,
        scaling: Scaling = "none",
        scale_targets: bool = False,
        test: "TensorData | None" = None,
        source: str = "",
        notes: Sequence[str] = (),
        columns: Sequence[str] = (),
    ) -> None:
        self.x, self.y = x, y.long() if classes is not None else y
        self.classes = list(classes) if classes is not None else None
        self.scaling, self.scale_targets = scaling, scale_targets
        self.test, self.source, self.notes, self.columns = test, source, notes, columns

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """x and y."""
        return self.x, self.y

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of a row's input and target."""
        return tuple(self.x.shape[1:]), tuple(self.y.shape[1:])

    @property
    def labels(self) -> Tensor | None:
        """The labels of all rows (N,) int64; None for numbers."""
        return self.y if self.classes is not None else None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int | Tensor) -> tuple[Tensor, Tensor]:
        return self.x[index], self.y[index]

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """A row, before training."""
        return self[index]
