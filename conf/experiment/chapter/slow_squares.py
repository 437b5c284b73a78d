"""Your own Dataset: it needs only two methods."""

import time

import torch
from torch import Tensor


class SlowSquares:
    """x and x squared for x = 0, 1/N, …, each a (1,) float32, read slowly."""

    def __init__(self, num_rows: int = 100, seconds: float = 0.005) -> None:
        self.num_rows, self.seconds = num_rows, seconds

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        time.sleep(self.seconds)
        x = torch.tensor([index / self.num_rows])
        return x, x.square()
