"""Segmentation: a class for each pixel. The edges of a shape, where nobody is sure, are left out."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

IGNORED = -100


class Shapes(Dataset):
    """Rows (picture, classes): picture (1, 16, 16) float32, a shape in noise; classes (16, 16) int64: 0 is the
    background, 1 a disc, 2 a square, -100 an edge."""

    classes = ("background", "disc", "square")

    def __init__(self, num_rows: int = 400) -> None:
        draw = torch.Generator().manual_seed(0)
        kind = torch.arange(num_rows) % 2
        x, y, size = torch.rand(3, num_rows, 1, 1, generator=draw)
        x, y, size = 5 + 5 * x, 5 + 5 * y, 3 + 2 * size
        across, down = (torch.arange(16.0) - x).abs(), (torch.arange(16.0)[:, None] - y).abs()
        round_, square = (across**2 + down**2).sqrt(), torch.maximum(across, down)
        far = torch.where(kind[:, None, None] == 0, round_, square) - size  # from the edge; inside it is negative
        self.masks = torch.where(far < 0, 1 + kind[:, None, None], 0).masked_fill(far.abs() < 0.5, IGNORED)
        self.pictures = ((far < 0) + 0.5 * torch.randn(num_rows, 16, 16, generator=draw))[:, None]

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.pictures[row], self.masks[row]

    def split(self) -> dict[str, range]:
        return {"val": range(300, 400)}


class Net(nn.Module):
    """Looks at the picture at full and at half size."""

    def __init__(self, in_channels: int, num_classes: int, width: int = 16) -> None:
        super().__init__()
        self.fine = nn.Sequential(nn.Conv2d(in_channels, width, 3, padding=1), nn.ReLU())
        self.coarse = nn.Sequential(
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 5, padding=2),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 2, stride=2),
        )
        self.head = nn.Conv2d(2 * width, num_classes, 1)

    def forward(self, picture: Tensor) -> Tensor:
        """picture: (N, channels, height, width). Returns logits (N, classes, height, width)."""
        fine = self.fine(picture)
        return self.head(torch.cat([fine, self.coarse(fine)], 1))
