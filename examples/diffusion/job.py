"""Diffusion on points of a plane: a network learns which noise was added to a point of a ring."""

import math

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset


class Ring(Dataset):
    """Rows ({point, time}, noise): a point (2,) of the ring with noise (2,) added, as much as the time (1,) between 0
    and 1 says. Time and noise are drawn again in every epoch."""

    def __init__(self, num_rows: int = 2000) -> None:
        angle = 2 * math.pi * torch.rand(num_rows, generator=torch.Generator().manual_seed(0))
        self.points = torch.stack([angle.cos(), angle.sin()], 1)

    def __len__(self) -> int:
        return len(self.points)

    def __getitem__(self, row: int) -> tuple[dict[str, Tensor], Tensor]:
        time, noise = torch.rand(1), torch.randn(2)
        point = torch.cos(time * math.pi / 2) * self.points[row] + torch.sin(time * math.pi / 2) * noise
        return {"point": point, "time": time}, noise

    def split(self) -> dict[str, range]:
        return {"val": range(1000, 2000)}


class Denoiser(nn.Module):
    def __init__(self, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, 2)
        )

    def forward(self, point: Tensor, time: Tensor) -> Tensor:
        """point: (N, 2); time: (N, 1). Returns the noise in the point (N, 2)."""
        turn = time * math.pi / 2
        return self.layers(torch.cat([point, turn.cos(), turn.sin()], 1))
