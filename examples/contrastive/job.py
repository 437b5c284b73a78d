"""Contrastive learning: two views of a row are to be closer to each other than to the views of all other rows."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset


class Views(Dataset):
    """Rows (view, view), each (16,) float32: two noisy looks at one point. The noise is drawn again in every epoch.
    There is no target."""

    def __init__(self, num_rows: int = 1000, noise: float = 0.7) -> None:
        self.points = torch.randn(num_rows, 4, generator=torch.Generator().manual_seed(0)) @ torch.randn(
            4, 16, generator=torch.Generator().manual_seed(1)
        )
        self.noise = noise

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        point = self.points[row]
        return point + self.noise * torch.randn(16), point + self.noise * torch.randn(16)

    def split(self) -> dict[str, range]:
        return {"val": range(800, 1000)}


class Encoder(nn.Module):
    def __init__(self, width: int = 64, code: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(16, width), nn.ReLU(), nn.Linear(width, code))

    def forward(self, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        """one, other: (N, 16). Returns the code of each, of length 1 (N, code)."""
        return F.normalize(self.layers(one), dim=1), F.normalize(self.layers(other), dim=1)


class InfoNCE(nn.Module):
    """Which of the other views belongs to each? The temperature is learned. `top1`, the share of right answers, is
    only looked at."""

    def __init__(self, temperature: float = 0.2) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def forward(self, prediction: tuple[Tensor, Tensor], target: None) -> dict[str, Tensor]:
        one, other = prediction
        similar = one @ other.T * self.log_scale.exp()
        own = torch.arange(len(one), device=one.device)
        return {"loss": F.cross_entropy(similar, own), "top1": (similar.argmax(1) == own).to(one.dtype).mean()}
