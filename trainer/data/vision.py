"""MNIST, Fashion-MNIST and CIFAR-10 from torchvision, kept as bytes; downloaded if they are missing."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.data.tensors import TensorData
from trainer.errors import ConfigError

log = logging.getLogger(__name__)


def _read(dataset: Any, root: str, train: bool, may_download: bool) -> tuple[Tensor, Tensor, list[str]]:
    """x (N, C, H, W) uint8, y (N,) int64 and the classes of a torchvision data set, downloaded if necessary."""
    folder = Path(root).expanduser()
    try:
        try:
            data = dataset(folder, train=train, download=False)
        except RuntimeError:  # torchvision raises it for files that are missing or broken
            if not may_download:
                text = f"{dataset.__name__} is not in {folder}, and nothing is downloaded for an unsigned config"
                raise ConfigError(text, "--trust, if you trust its author") from None
            log.info("download %s into %s (this happens once)", dataset.__name__, folder)
            data = dataset(folder, train=train, download=True)
    except (OSError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[-1]
        text = f"{dataset.__name__} is not in {folder} (dataset.root) and cannot be downloaded: {reason}"
        raise ConfigError(text, "dataset=digits") from error
    x = torch.as_tensor(np.asarray(data.data))
    x = x[:, None] if x.ndim == 3 else x.permute(0, 3, 1, 2).contiguous()
    return x, torch.as_tensor(data.targets), list(data.classes)


class _Vision(TensorData):
    """Training rows, with the official test set as `test`; scaled by the mean and deviation of all training pixels."""

    name: str
    mean: float  # of pixels from 0 to 1
    std: float

    def __init__(self, root: str, may_download: bool = True) -> None:
        import torchvision

        dataset = getattr(torchvision.datasets, self.name)
        scaling = (self.mean * 255, self.std * 255)
        x, y, classes = _read(dataset, root, train=False, may_download=may_download)
        test = TensorData(x, y, classes=classes, scaling=scaling)
        x, y, _ = _read(dataset, root, train=True, may_download=may_download)
        super().__init__(x, y, classes=classes, scaling=scaling, test=test, source=f"in {root}")


class MNIST(_Vision):
    """60,000 and 10,000 digits: x (N, 1, 28, 28)."""

    name, mean, std = "MNIST", 0.1307, 0.3081


class FashionMNIST(_Vision):
    """60,000 and 10,000 pieces of clothing: x (N, 1, 28, 28)."""

    name, mean, std = "FashionMNIST", 0.2860, 0.3530


class CIFAR10(_Vision):
    """50,000 and 10,000 photographs: x (N, 3, 32, 32)."""

    name, mean, std = "CIFAR10", 0.4734, 0.2516
