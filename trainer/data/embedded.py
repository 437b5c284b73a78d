"""The data sets that come with trainer. Sources and licences: files/NOTICE.md."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from trainer.data.tensors import TensorData

FILES = Path(__file__).parent / "files"


def _load(name: str) -> tuple[Tensor, Tensor]:
    with np.load(FILES / f"{name}.npz", allow_pickle=False) as archive:
        return torch.from_numpy(archive["x"]), torch.from_numpy(archive["y"])


class Digits(TensorData):
    """1,797 digits: x (N, 1, 8, 8) uint8 from 0 to 16, y 0 to 9."""

    def __init__(self) -> None:
        x, y = _load("digits")
        super().__init__(x[:, None], y, classes=list("0123456789"), scaling="standardize_whole", source="bundled")


class Iris(TensorData):
    """150 flowers: x (N, 4) centimetres."""

    def __init__(self) -> None:
        x, y = _load("iris")
        super().__init__(x, y, classes=["setosa", "versicolor", "virginica"], scaling="standardize", source="bundled")


class Wine(TensorData):
    """178 wines: x (N, 13)."""

    def __init__(self) -> None:
        x, y = _load("wine")
        super().__init__(x, y, classes=["grower 1", "grower 2", "grower 3"], scaling="standardize", source="bundled")


class BreastCancer(TensorData):
    """569 tumours: x (N, 30)."""

    def __init__(self) -> None:
        x, y = _load("breast_cancer")
        super().__init__(x, y, classes=["malignant", "benign"], scaling="standardize", source="bundled")


class Diabetes(TensorData):
    """442 patients: x (N, 10), y (N, 1) progression of the disease, 25 to 346."""

    def __init__(self) -> None:
        x, y = _load("diabetes")
        super().__init__(x, y[:, None], scaling="standardize", scale_targets=True, source="bundled")
