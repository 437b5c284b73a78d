"""Forecasting: from the last 36 values of a series to the next 6. The end of the series validates."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset


class Windows(Dataset):
    """Rows (past, future): (36,) and (6,) float32, windows of one series of two rhythms with noise."""

    def __init__(self, num_values: int = 1500, past: int = 36, future: int = 6) -> None:
        draw = torch.Generator().manual_seed(0)
        time = torch.arange(float(num_values))
        series = (time / 4).sin() + 0.5 * (time / 1.7).cos() + 0.2 * torch.randn(num_values, generator=draw)
        self.windows, self.past = series.unfold(0, past + future, 1), past

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.windows[row, : self.past], self.windows[row, self.past :]

    def split(self) -> dict[str, range]:
        """Between the two parts lies a gap as long as a window, so that they share no value."""
        size = self.windows.shape[1]
        return {"train": range(1100 - size), "val": range(1100, len(self))}


class Net(nn.Module):
    def __init__(self, in_features: int, out_features: int, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, out_features))

    def forward(self, past: Tensor) -> Tensor:
        """past: (N, 36). Returns the future (N, 6)."""
        return self.layers(past)
