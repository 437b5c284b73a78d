"""An autoencoder: pictures of 64 pixels pass through four numbers. The data has no target: each sample is a tensor."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset


class Spots(Dataset):
    """Pictures (1, 8, 8) float32 of a round spot, anywhere, of any size."""

    def __init__(self, num_rows: int = 1000) -> None:
        draw = torch.Generator().manual_seed(0)
        x, y, size = torch.rand(3, num_rows, 1, 1, generator=draw)
        pixels = torch.arange(8.0)
        far = (pixels - 1 - 5 * x) ** 2 + (pixels[:, None] - 1 - 5 * y) ** 2
        self.pictures = torch.exp(-far / (1 + 4 * size))[:, None]

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, row: int) -> Tensor:
        return self.pictures[row]

    def split(self) -> dict[str, range]:
        return {"val": range(800, 1000)}


class Autoencoder(nn.Module):
    def __init__(self, width: int = 64, code: int = 4) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(64, width), nn.ReLU(), nn.Linear(width, code))
        self.decoder = nn.Sequential(nn.Linear(code, width), nn.ReLU(), nn.Linear(width, 64))

    def forward(self, picture: Tensor) -> Tensor:
        """picture: (N, 1, 8, 8). Returns its reconstruction (N, 1, 8, 8)."""
        return self.decoder(self.encoder(picture)).reshape(picture.shape)
