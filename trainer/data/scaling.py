"""Scaling of inputs and numeric targets before the model sees them, fitted on the training split only."""

import torch
from torch import Tensor, nn

from trainer.data.tensors import Scaling


class Standardize(nn.Module):
    """(x - mean) / std, in the dtype of its buffers mean and std."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)

    @property
    def dtype(self) -> torch.dtype:
        """The dtype of the result."""
        return self.mean.dtype

    def forward(self, x: Tensor) -> Tensor:
        return (x.to(self.dtype) - self.mean) / self.std

    def inverse(self, x: Tensor) -> Tensor:
        """Convert back to the units of the data."""
        return x * self.std + self.mean


class Cast(nn.Module):
    """Casts x to a dtype and does nothing else."""

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Tensor) -> Tensor:
        return x.to(self.dtype)

    def inverse(self, x: Tensor) -> Tensor:
        """Return x unchanged."""
        return x


Scale = Standardize | Cast


def fit(x: Tensor, scaling: Scaling, dtype: torch.dtype) -> Scale:
    """Fit the scaling (see TensorData) of a training split x (N, *). A constant column is only centred."""
    if scaling == "none":
        return Cast(dtype)
    if isinstance(scaling, str):
        rows = x.to(torch.float64) if scaling == "standardize" else x.to(torch.float64).flatten()
        mean, std = rows.mean(0), rows.std(0, correction=0)
        std = torch.where(std > 0, std, torch.ones_like(std))
    else:
        mean, std = (torch.tensor(value, dtype=torch.float64) for value in scaling)
    return Standardize(mean.to(dtype), std.to(dtype))
