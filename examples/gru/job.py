"""Sequence classification: a GRU tells three kinds of movement apart. Its forward returns a tuple."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset


class Movements(Dataset):
    """Rows (path, kind): path (24, 2) float32, noisy steps of a walk; kind: it turns left, turns right, or goes
    straight on."""

    classes = ("left", "right", "straight")

    def __init__(self, num_rows: int = 900) -> None:
        draw = torch.Generator().manual_seed(0)
        self.kinds = torch.arange(num_rows) % 3
        turn = torch.tensor([0.08, -0.08, 0.0])[self.kinds][:, None] * torch.arange(24)
        angle = turn + 6.3 * torch.rand(num_rows, 1, generator=draw)
        self.paths = torch.stack([angle.cos(), angle.sin()], 2) + 0.9 * torch.randn(num_rows, 24, 2, generator=draw)

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return self.paths[row], int(self.kinds[row])

    def split(self) -> dict[str, range]:
        return {"val": range(600, 900)}


class Classifier(nn.Module):
    def __init__(self, num_classes: int, width: int = 32) -> None:
        super().__init__()
        self.gru = nn.GRU(2, width, batch_first=True)
        self.head = nn.Linear(width, num_classes)

    def forward(self, path: Tensor) -> tuple[Tensor, Tensor]:
        """path: (N, T, 2). Returns (logits (N, classes), the GRU's last state (1, N, width))."""
        outputs, state = self.gru(path)
        return self.head(outputs[:, -1]), state
