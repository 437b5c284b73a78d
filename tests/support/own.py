"""Classes of a user's own, as a config may name them."""

import csv
import os
import random
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from trainer.data import seeds


class Augmented(Dataset):
    """Two classes of points, moved by all three global generators each time that they are read."""

    def __init__(self, num_points: int = 200) -> None:
        self.y = torch.arange(num_points) % 2
        self.x = torch.randn(num_points, 4) + self.y[:, None]

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        moved = self.x[index] + 0.1 * torch.randn(4) + 0.1 * random.random() + 0.1 * float(np.random.rand())
        return moved, int(self.y[index])


class Filed(Dataset):
    """Two classes of points, from an .npy file of x, or made."""

    classes = ("left", "right")

    def __init__(self, file: str = "", num_rows: int = 60) -> None:
        self.x = np.load(file) if file else np.random.default_rng(0).normal(size=(num_rows, 3)).astype(np.float32)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(self.x[index]), int(self.x[index, 0] > 0)


class Grouped(Filed):
    """Points whose third number is their group."""

    @property
    def groups(self) -> list[float]:
        return self.x[:, 2].tolist()


class Forgetful(nn.Module):
    """A linear model with a count of its calls that is in no state_dict: no resume can be exact."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, num_classes)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += self.training
        return self.linear(x.flatten(1)) * (1 + 0.01 * self.calls)


def _wait(where: str) -> None:
    """Say that the slow thing begins, and take minutes for it."""
    Path("slow").touch()
    time.sleep(300)


class Slow(Dataset):
    """Points of two classes. One row takes minutes to read: in training, in an evaluation, or in what follows the end.

    Evaluation comes after four steps of 50, over 100 rows; what follows the end reads those once more.
    """

    before = 209  # rows that are read before training

    def __init__(self, slow: str = "none") -> None:
        self.slow, self.reads = slow, 0
        self.y = torch.arange(500) % 2
        self.x = torch.randn(500, 4) + self.y[:, None]
        self.targets = self.y

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        self.reads += 1
        first = {"data": 110, "evaluation": 4 * 50 + 1, "outcome": 4 * 50 + 100 + 1}.get(self.slow)
        if first is not None and self.reads == self.before + first:
            _wait(self.slow)
        return self.x[index], int(self.y[index])


class SlowModel(nn.Linear):
    """A step that takes minutes: the third call in training."""

    def __init__(self, in_features: int, num_classes: int) -> None:
        super().__init__(in_features, num_classes)
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += torch.is_grad_enabled()
        if self.calls == 3:
            _wait("step")
        return super().forward(x)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file as Python's own parser reads them."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Registered(nn.Linear):
    """A linear model that leaves its process's number in a file named after its rank."""

    def __init__(self, in_features: int, num_classes: int, folder: str) -> None:
        super().__init__(in_features, num_classes)
        (Path(folder) / f"rank-{os.environ.get('RANK', '-')}").write_text(f"{os.getpid()}\n")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        time.sleep(0.005)
        return super().forward(x.flatten(1))


class Begun(Registered):
    """One that takes a minute to be built."""

    def __init__(self, in_features: int, num_classes: int, folder: str) -> None:
        super().__init__(in_features, num_classes, folder)
        time.sleep(60)


class Faulty(Augmented):
    """One of its rows, which is not read before training, can be read by the first process alone."""

    classes = ("left", "right")

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        unread = seeds.permutation(len(self.y), seeds.derive(0, "fingerprint"))[-1]
        if index == unread and os.environ.get("RANK", "0") != "0":
            raise ValueError("one row is broken")
        return super().__getitem__(index)


class Tempered(nn.CrossEntropyLoss):
    """Cross-entropy at a temperature that is trained."""

    def __init__(self, **settings: object) -> None:
        super().__init__(**settings)
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return super().forward(prediction / self.temperature, target)


class Summed(nn.CrossEntropyLoss):
    """Cross-entropy that adds up where torch's own takes the mean."""

    def __init__(self, **keywords) -> None:
        super().__init__(reduction="sum", **keywords)
