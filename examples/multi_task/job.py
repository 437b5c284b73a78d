"""Two tasks at once, a class and a number: which wave a signal is, and how fast it swings."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset


class Signals(Dataset):
    """Rows (signal, {kind, speed}): signal (32,) float32 with noise; kind: 0 is a sine, 1 a square wave; speed: a
    float from 1 to 3."""

    def __init__(self, num_rows: int = 1200) -> None:
        draw = torch.Generator().manual_seed(0)
        self.kinds = torch.arange(num_rows) % 2
        self.speeds = 1 + 2 * torch.rand(num_rows, generator=draw)
        angle = self.speeds[:, None] * torch.linspace(0, 6.3, 32) + torch.rand(num_rows, 1, generator=draw)
        wave = torch.where(self.kinds[:, None] == 0, angle.sin(), 0.8 * angle.sin().sign())
        self.signals = wave + 0.3 * torch.randn(num_rows, 32, generator=draw)

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, row: int) -> tuple[Tensor, dict[str, Tensor]]:
        return self.signals[row], {"kind": self.kinds[row], "speed": self.speeds[row]}

    def split(self) -> dict[str, range]:
        return {"val": range(1000, 1200)}


class Net(nn.Module):
    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(32, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.kind, self.speed = nn.Linear(width, 2), nn.Linear(width, 1)

    def forward(self, signal: Tensor) -> dict[str, Tensor]:
        """signal: (N, 32). Returns logits of the kind (N, 2) and the speed (N,)."""
        found = self.body(signal)
        return {"kind": self.kind(found), "speed": self.speed(found)[:, 0]}


class Both(nn.Module):
    """The sum of both losses."""

    def forward(self, prediction: dict[str, Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
        return {
            "kind": F.cross_entropy(prediction["kind"], target["kind"]),
            "speed": F.mse_loss(prediction["speed"], target["speed"]),
        }
