"""A masked language model: some tokens of each row are hidden, others in every epoch, and the model says which."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

NUM_TOKENS, LENGTH, IGNORED = 8, 5, -100
HIDDEN = NUM_TOKENS  # the token that stands for a hidden one


class Echoes(Dataset):
    """Rows {tokens, labels}, both (10,) int64: five tokens, and the same five again. Tokens are hidden with a chance of
    0.2; labels are -100 where nothing is hidden. At least the first is. Where a token and its echo are both hidden,
    there is nothing but to guess."""

    classes = tuple(map(str, range(NUM_TOKENS)))

    def __init__(self, num_rows: int = 1600, hidden: float = 0.2) -> None:
        half = torch.randint(0, NUM_TOKENS, (num_rows, LENGTH), generator=torch.Generator().manual_seed(0))
        self.rows, self.hidden = torch.cat([half, half], 1), hidden

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        tokens = self.rows[row]
        hide = torch.rand(len(tokens)) < self.hidden
        hide[0] = True
        return {"tokens": tokens.masked_fill(hide, HIDDEN), "labels": tokens.masked_fill(~hide, IGNORED)}

    def split(self) -> dict[str, range]:
        return {"val": range(1000, 1600)}


class Encoder(nn.Module):
    def __init__(self, num_classes: int, width: int = 48, heads: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(num_classes + 1, width)
        self.place = nn.Parameter(torch.randn(2 * LENGTH, width))
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (N, T) int64. Returns logits (N, T, classes)."""
        return self.head(self.layers(self.embed(tokens) + self.place[: tokens.shape[1]]))
