"""The job that every contestant does: data, model, length, and the line of JSON that it prints at the end.

MNIST-sized: 70,000 × 1 × 28 × 28 bytes, of which 60,000 train; ten classes by a fixed random projection, 15% of the
labels random, so that the loss does not fall to zero. Or digits: 1,438 train, 359 validate.
"""

import argparse
import json
import time

import torch
from torch import Tensor, nn

from trainer.data.embedded import Digits
from trainer.data.tensors import TensorData

MEAN, STD = 0.1307, 0.3081  # of the bytes / 255, as the usual recipe has them
LR = 1e-3


def settings() -> argparse.Namespace:
    """--batch, --epochs and --digits of this contestant's command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--digits", action="store_true")
    return parser.parse_args()


def pictures() -> tuple[Tensor, Tensor]:
    """x (70000, 1, 28, 28) uint8, 80% of it black as in MNIST; y (70000,) int64."""
    generator = torch.Generator().manual_seed(0)
    x, y = torch.empty(70_000, 784, dtype=torch.uint8), torch.empty(70_000, dtype=torch.int64)
    directions = torch.randn(784, 10, generator=generator)
    for part, labels in zip(x.split(2_000), y.split(2_000), strict=True):  # in pieces: the peak of memory is measured
        part.random_(0, 256, generator=generator)
        part *= torch.rand(part.shape, generator=generator) < 0.2
        labels.copy_(((part - 25.5) @ directions).argmax(1))
    noisy = torch.rand(70_000, generator=generator) < 0.15
    y[noisy] = torch.randint(0, 10, (int(noisy.sum()),), generator=generator)
    return x.view(-1, 1, 28, 28), y


class Pictures(TensorData):
    """The same pictures for trainer: `dataset=own dataset._target_=job.Pictures`, scaled like the recipe's."""

    def __init__(self) -> None:
        x, y = pictures()
        super().__init__(x, y, classes=list("0123456789"), scaling=(MEAN * 255, STD * 255))


def tensors(digits: bool) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(x, y) for training and (x, y) for validation: (N, features) float32, scaled, and (N,) int64."""
    if digits:
        data = Digits()
        x, y, held_back = (data.x.flatten(1).float() - 4.9) / 6.0, data.y, 359
    else:
        x, y = pictures()
        x, held_back = (x.flatten(1).float() / 255 - MEAN) / STD, 10_000
    return x[held_back:].clone(), y[held_back:].clone(), x[:held_back].clone(), y[:held_back].clone()


def mlp(features: int) -> nn.Sequential:
    """features-128-10."""
    return nn.Sequential(nn.Flatten(), nn.Linear(features, 128), nn.ReLU(), nn.Linear(128, 10))


class Report:
    """Times each epoch with its validation; the first includes compiling and warming up."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.mark = time.perf_counter()

    def epoch(self) -> None:
        """Mark the end of an epoch and its validation."""
        now = time.perf_counter()
        self.seconds.append(now - self.mark)
        self.mark = now

    def end(self, loss: float, val_loss: float) -> None:
        """Print the line: seconds of each epoch, mean train loss of the last one, validation loss."""
        print(json.dumps({"seconds": self.seconds, "loss": float(loss), "val_loss": float(val_loss)}))
