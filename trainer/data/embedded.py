"""The data sets that come with trainer. Sources and licences: files/NOTICE.md."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from trainer.data.tensors import Scaling, TensorData

FILES = Path(__file__).parent / "files"


class _Bundled(TensorData):
    def __init__(self, name: str, classes: Sequence[str] | None, scaling: Scaling = "standardize") -> None:
        with np.load(FILES / f"{name}.npz", allow_pickle=False) as archive:
            x, y = torch.from_numpy(archive["x"]), torch.from_numpy(archive["y"])
        y = y if classes is not None else y[:, None]
        super().__init__(x, y, classes=classes, scaling=scaling, scale_targets=classes is None, source="bundled")


class Digits(_Bundled):
    """1,797 digits: x (N, 1, 8, 8) uint8 from 0 to 16, y 0 to 9."""

    def __init__(self) -> None:
        super().__init__("digits", list("0123456789"), scaling="standardize_whole")
        self.x = self.x[:, None]


class Iris(_Bundled):
    """150 flowers: x (N, 4) centimetres."""

    def __init__(self) -> None:
        super().__init__("iris", ["setosa", "versicolor", "virginica"])


class Wine(_Bundled):
    """178 wines: x (N, 13)."""

    def __init__(self) -> None:
        super().__init__("wine", ["grower 1", "grower 2", "grower 3"])


class BreastCancer(_Bundled):
    """569 tumours: x (N, 30)."""

    def __init__(self) -> None:
        super().__init__("breast_cancer", ["malignant", "benign"])


class Diabetes(_Bundled):
    """442 patients: x (N, 10), y (N, 1) progression of the disease, 25 to 346."""

    def __init__(self) -> None:
        super().__init__("diabetes", None)
