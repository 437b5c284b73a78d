"""Quantile regression: not one number, but three, below which a tenth, half and nine tenths of the truths lie."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset


class Waits(Dataset):
    """Rows (hour, minutes), (1,) and (1,) float32: how long a bus is late. Around noon it is less certain."""

    def __init__(self, num_rows: int = 2000) -> None:
        draw = torch.Generator().manual_seed(0)
        self.hours = 2 * torch.rand(num_rows, 1, generator=draw) - 1
        spread = 0.2 + 0.8 * torch.exp(-8 * self.hours**2)
        self.minutes = self.hours.sin() + spread * torch.randn(num_rows, 1, generator=draw)

    def __len__(self) -> int:
        return len(self.hours)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.hours[row], self.minutes[row]

    def split(self) -> dict[str, range]:
        return {"val": range(1200, 2000)}


class Net(nn.Module):
    def __init__(self, num_outputs: int, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, num_outputs)
        )

    def forward(self, hour: Tensor) -> Tensor:
        """hour: (N, 1). Returns the quantiles (N, num_outputs)."""
        return self.layers(hour)
