"""Sequence to sequence: read digits, then write the same digits. A GRU with attention, taught with the true prefix."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

BEGIN = 10


class Copies(Dataset):
    """Rows {source, prefix, target}, each (8,) int64: prefix is the target one place later, after BEGIN."""

    classes = tuple("0123456789")

    def __init__(self, num_rows: int = 1500) -> None:
        self.digits = torch.randint(0, 10, (num_rows, 8), generator=torch.Generator().manual_seed(0))

    def __len__(self) -> int:
        return len(self.digits)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        digits = self.digits[row]
        return {"source": digits, "prefix": torch.cat([torch.tensor([BEGIN]), digits[:-1]]), "target": digits}

    def split(self) -> dict[str, range]:
        return {"val": range(1300, 1500)}


class Copier(nn.Module):
    def __init__(self, num_classes: int, width: int = 48) -> None:
        super().__init__()
        self.embed = nn.Embedding(num_classes + 1, width)
        self.place = nn.Parameter(torch.randn(8, width))
        self.reader = nn.GRU(width, width, batch_first=True)
        self.writer = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, source: Tensor, prefix: Tensor) -> Tensor:
        """source, prefix: (N, T) int64. Returns logits of the digits to write (N, T, classes)."""
        read, state = self.reader(self.embed(source) + self.place[: source.shape[1]])
        written, _ = self.writer(self.embed(prefix) + self.place[: prefix.shape[1]], state)
        attention = (written @ read.transpose(1, 2)).softmax(2)
        return self.head(torch.cat([written, attention @ read], 2))
