"""A character language model: a GPT with two layers learns the sentences of a small grammar."""

import random

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

WORDS = {
    "who": ["the cat", "a small dog", "my neighbour", "the old captain", "nobody"],
    "does": ["sees", "likes", "paints", "remembers", "waits for"],
    "what": ["the moon", "a red house", "the last train", "good bread", "rain"],
    "when": ["today", "every winter", "at night", "without a word"],
}


def text(num_sentences: int) -> str:
    """Sentences of the grammar, one after the other."""
    rng = random.Random(0)
    return " ".join(" ".join(map(rng.choice, WORDS.values())) + "." for _ in range(num_sentences))


class Text(Dataset):
    """Rows (characters, next characters), each (length,) int64. The last tenth of the text validates."""

    def __init__(self, num_sentences: int = 600, length: int = 48) -> None:
        written = text(num_sentences)
        self.characters = sorted(set(written))
        self.classes = list(self.characters)
        indices = torch.tensor([self.characters.index(character) for character in written])
        num_rows = (len(indices) - 1) // length
        self.x = indices[: num_rows * length].reshape(num_rows, length)
        self.y = indices[1 : num_rows * length + 1].reshape(num_rows, length)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.x[row], self.y[row]

    def split(self) -> dict[str, range]:
        return {"val": range(len(self) * 9 // 10, len(self))}


class Block(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, nn.Dropout(dropout)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(n, t, c)
        x = x + self.dropout(self.out(seen))
        return x + self.dropout(self.mlp(self.norm2(x)))


class GPT(nn.Module):
    def __init__(
        self,
        num_classes: int,
        length: int = 48,
        width: int = 48,
        heads: int = 4,
        layers: int = 2,
        dropout: float = 0.05,
    ) -> None:
        super().__init__()
        self.embed, self.place = nn.Embedding(num_classes, width), nn.Embedding(length, width)
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, num_classes)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens: (N, T) int64. Returns logits of the next character (N, T, characters)."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        return self.head(self.norm(self.blocks(self.embed(tokens) + self.place(places))))
