"""Several labels a row: which of six topics a text is about, from how often each of 30 words occurs in it."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset


class Topics(Dataset):
    """Rows (counts, topics): counts (30,) float32; topics (6,) int64, 0 or 1 each. Two rows in five have several."""

    classes = ("weather", "music", "sport", "food", "money", "travel")

    def __init__(self, num_rows: int = 1000) -> None:
        draw = torch.Generator().manual_seed(0)
        words = torch.rand(6, 30, generator=draw).pow(4)  # how typical each word is of each topic
        self.topics = (torch.rand(num_rows, 6, generator=draw) < 0.25).long()
        self.counts = torch.poisson(0.2 + 3 * self.topics.float() @ words, generator=draw)

    def __len__(self) -> int:
        return len(self.topics)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.counts[row], self.topics[row]

    def split(self) -> dict[str, range]:
        return {"val": range(800, 1000)}


class Net(nn.Module):
    def __init__(self, in_features: int, num_labels: int, width: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, num_labels))

    def forward(self, counts: Tensor) -> Tensor:
        """counts: (N, words). Returns a logit for each label (N, labels)."""
        return self.layers(counts)
