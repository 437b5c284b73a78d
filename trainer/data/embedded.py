"""The data sets that come with trainer. Sources and licences: files/NOTICE.md."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from trainer.data.tensors import Scaling, TensorData

FILES = Path(__file__).parent / "files"

NUCLEI = (
    *("radius", "texture", "perimeter", "area", "smoothness"),
    *("compactness", "concavity", "concave points", "symmetry", "fractal dimension"),
)


class _Bundled(TensorData):
    file: str
    names: Sequence[str] | None = None  # of the classes
    inputs: Sequence[str] = ()  # the names of the columns

    def __init__(self) -> None:
        with np.load(FILES / f"{self.file}.npz", allow_pickle=False) as archive:
            x, y = torch.from_numpy(archive["x"]), torch.from_numpy(archive["y"])
        scaling: Scaling = "standardize"
        if x.ndim == 3:  # pictures, which get a channel
            x, scaling = x[:, None], "standardize_whole"
        is_numeric = self.names is None
        y = y[:, None] if is_numeric else y
        super().__init__(
            x,
            y,
            classes=self.names,
            scaling=scaling,
            scale_targets=is_numeric,
            source="bundled",
            columns=self.inputs,
        )


class Digits(_Bundled):
    """1,797 digits: x (N, 1, 8, 8) uint8 from 0 to 16, y 0 to 9."""

    file, names = "digits", tuple("0123456789")


class Iris(_Bundled):
    """150 flowers: x (N, 4) centimetres."""

    file, names = "iris", ("setosa", "versicolor", "virginica")
    inputs = ("sepal length", "sepal width", "petal length", "petal width")


class Wine(_Bundled):
    """178 wines: x (N, 13)."""

    file, names = "wine", ("grower 1", "grower 2", "grower 3")
    inputs = (
        *("alcohol", "malic acid", "ash", "alcalinity of ash", "magnesium", "total phenols", "flavanoids"),
        *("nonflavanoid phenols", "proanthocyanins", "colour intensity", "hue", "OD280/OD315", "proline"),
    )


class BreastCancer(_Bundled):
    """569 tumours: x (N, 30)."""

    file, names = "breast_cancer", ("malignant", "benign")
    inputs = tuple(f"{kind} {name}" for kind in ("mean", "error of", "worst") for name in NUCLEI)


class Diabetes(_Bundled):
    """442 patients: x (N, 10), y (N, 1) progression of the disease, 25 to 346."""

    file = "diabetes"
    inputs = ("age", "sex", "bmi", "blood pressure", "tc", "ldl", "hdl", "tch", "ltg", "glucose")
