"""Token classification: a tag for each word of a sentence. Sentences differ in length; batches are padded dicts."""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

PADDING, IGNORED = 0, -100


class Sentences(Dataset):
    """Rows {tokens, labels}, both (length,) int64 with 4 to 12 words; words are 1 to 30. A word from 21 on is a name;
    its tag says of what, which the word before it decides."""

    classes = ("other", "person", "place")

    def __init__(self, num_rows: int = 1000) -> None:
        draw = torch.Generator().manual_seed(0)
        self.rows = []
        for _ in range(num_rows):
            length = int(torch.randint(4, 13, (), generator=draw))
            tokens = torch.randint(1, 31, (length,), generator=draw)
            before = torch.cat([tokens.new_zeros(1), tokens[:-1]])
            tags = torch.where(tokens > 20, 1 + before % 2, 0)
            self.rows.append({"tokens": tokens, "labels": tags})

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> dict[str, Tensor]:
        return self.rows[row]

    def split(self) -> dict[str, range]:
        return {"val": range(800, 1000)}

    def collate_fn(self, rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        """Pad the sentences of a batch to the longest of them: tokens, mask and labels (N, T)."""
        tokens = pad_sequence([row["tokens"] for row in rows], batch_first=True, padding_value=PADDING)
        labels = pad_sequence([row["labels"] for row in rows], batch_first=True, padding_value=IGNORED)
        return {"tokens": tokens, "mask": tokens != PADDING, "labels": labels}


class Tagger(nn.Module):
    def __init__(self, num_classes: int, num_words: int = 31, width: int = 32, dropout: float = 0.1) -> None:
        super().__init__()
        self.embed = nn.Embedding(num_words, width)
        self.mix = nn.Conv1d(width, width, 3, padding=1)
        self.head = nn.Sequential(nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, num_classes))

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """tokens: (N, T) int64; mask: (N, T) bool, whether a word is there. Returns logits (N, T, classes)."""
        words = self.embed(tokens) * mask.unsqueeze(2)
        return self.head(self.mix(words.transpose(1, 2)).transpose(1, 2))
