"""A physics-informed network: it learns how a damped spring swings from the equation alone, u'' + u'/2 + 4u = 0.

The loss needs derivatives of the output by the input, in evaluation as well.
"""

import math

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

DAMPING, STIFFNESS = 0.5, 4.0


class Times(Dataset):
    """Rows (time, truth), (1,) and (1,) float32: a time from 0 to 3, and where the spring really is; no loss reads
    that."""

    def __init__(self, num_rows: int = 400) -> None:
        self.times = 3 * torch.rand(num_rows, 1, generator=torch.Generator().manual_seed(0))
        slow, fast = DAMPING / 2, math.sqrt(STIFFNESS - DAMPING**2 / 4)
        swing = (fast * self.times).cos() + slow / fast * (fast * self.times).sin()
        self.truth = torch.exp(-slow * self.times) * swing

    def __len__(self) -> int:
        return len(self.times)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.times[row], self.truth[row]

    def split(self) -> dict[str, range]:
        return {"val": range(300, 400)}


class Spring(nn.Module):
    """It begins at 1 and at rest, whatever its weights are."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1)
        )

    def forward(self, time: Tensor) -> dict[str, Tensor]:
        """time: (N, 1). Returns where the spring is, and by how much that breaks the equation, each (N, 1)."""
        with torch.enable_grad():
            time = time.detach().requires_grad_()
            place = 1 + time**2 * self.layers(time)
            (speed,) = torch.autograd.grad(place.sum(), time, create_graph=True)
            (force,) = torch.autograd.grad(speed.sum(), time, create_graph=True)
            return {"place": place, "residual": force + DAMPING * speed + STIFFNESS * place}


class Equation(nn.Module):
    """The mean square of what is left of the equation."""

    def forward(self, prediction: dict[str, Tensor], target: Tensor) -> Tensor:
        return prediction["residual"].square().mean()
