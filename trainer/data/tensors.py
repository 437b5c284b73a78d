"""A Dataset whose rows are tensors: what every shipped data set is."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset

Scaling = Literal["none", "standardize", "standardize_whole"] | tuple[float, float]


class TensorData(Dataset[tuple[Tensor, Tensor]]):
    """Rows held whole, in the dtype they came in.

    x: (N, *shape). y: (N,) int64 class indices where `classes` names them, else (N, outputs) float numbers.
    scaling: what the model wants done to x (see scaling.py): nothing, standardising by the training split, each column
    by itself or the values as a whole, or a known (mean, standard deviation) of the stored values. scale_targets:
    standardise y too, for numbers far from 0.
    test: a second TensorData, where the data set has an official one.
    """

    truth: Mapping[str, float] = MappingProxyType({})  # the numbers to learn, by name, where the formula is known

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
    ) -> None:
        self.x, self.y = x, y.long() if classes is not None else y
        self.classes = list(classes) if classes is not None else None
        self.scaling, self.scale_targets = scaling, scale_targets
        self.test, self.source = test, source

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.x[index], self.y[index]

    def rows(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """(x, y) of some rows, copied."""
        return torch.index_select(self.x, 0, indices), torch.index_select(self.y, 0, indices)
