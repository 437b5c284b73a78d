"""A masked language model: some tokens of each row are hidden, others in every epoch, and the model says which."""

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

NUM_TOKENS, IGNORED = 7, -100
HIDDEN = NUM_TOKENS  # the token that stands for a hidden one


class Progressions(Dataset):
    """Rows {tokens, labels}, both (10,) int64: a number that grows by the same amount at each place, modulo 7. Tokens
    are hidden with a chance of 0.2; labels are -100 where nothing is hidden. At least the first is."""

    classes = tuple(map(str, range(NUM_TOKENS)))

    def __init__(self, num_rows: int = 1200, hidden: float = 0.2) -> None:
        draw = torch.Generator().manual_seed(0)
        start, growth = torch.randint(0, NUM_TOKENS, (2, num_rows, 1), generator=draw)
        self.rows, self.hidden = (start + growth * torch.arange(10)) % NUM_TOKENS, hidden

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        tokens = self.rows[row]
        hide = torch.rand(len(tokens)) < self.hidden
        hide[0] = True
        return {"tokens": tokens.masked_fill(hide, HIDDEN), "labels": tokens.masked_fill(~hide, IGNORED)}

    def split(self) -> dict[str, range]:
        return {"val": range(1000, 1200)}


class Encoder(nn.Module):
    def __init__(self, num_classes: int, width: int = 48, heads: int = 4, dropout: float = 0.0) -> None:
        super().__init__()
        self.embed = nn.Embedding(num_classes + 1, width)
        self.place = nn.Parameter(0.1 * torch.randn(10, width))
        layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (N, T) int64. Returns logits (N, T, classes)."""
        return self.head(self.layers(self.embed(tokens) + self.place[: tokens.shape[1]]))
