"""Small jobs whose inputs or outputs are several tensors: Datasets and models that a config may name."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

WORDS = 12  # of the vocabulary; 0 pads
KINDS = 3  # of tokens


def _chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Listed(Dataset):
    """Samples in a list."""

    samples: list[Any]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, row: int) -> Any:
        return self.samples[row]


class Tagged(Listed):
    """Sequences of 2 to 7 tokens, each of a kind: its number modulo 3. Padded by collate_fn, which adds a mask."""

    classes = ("noun", "verb", "other")

    def __init__(self, num_rows: int = 40) -> None:
        lengths = torch.randint(2, 8, (num_rows,), generator=_chance()).tolist()
        self.samples = [torch.randint(1, WORDS, (n,), generator=_chance(n + row)) for row, n in enumerate(lengths)]

    def collate_fn(self, rows: list[Tensor]) -> dict[str, Tensor]:
        ids = pad_sequence(rows, batch_first=True)
        labels = pad_sequence([row % KINDS for row in rows], batch_first=True, padding_value=-100)
        return {"input_ids": ids, "mask": ids > 0, "labels": labels}


class Tagger(nn.Module):
    """Attention over the tokens that count; it returns a dict, with a state that follows the rows along axis 1."""

    def __init__(self, num_embeddings: int = WORDS, num_classes: int = KINDS, width: int = 8) -> None:
        super().__init__()
        self.embed = nn.Embedding(num_embeddings, width)
        self.out = nn.Linear(2 * width, num_classes)

    def forward(self, input_ids: Tensor, mask: Tensor) -> dict[str, Tensor]:
        tokens = self.embed(input_ids)
        scores = (tokens @ tokens.transpose(1, 2)).masked_fill(~mask[:, None], -1e4)
        context = scores.softmax(-1) @ tokens
        logits = self.out(torch.cat([tokens, context], -1))
        return {"logits": logits, "state": context.mean(1)[None], "scale": self.embed.weight.std()}


class Sentences(Listed):
    """Sequences of 5 tokens of two classes: whether the first is larger than the last."""

    def __init__(self, num_rows: int = 60) -> None:
        rows = torch.randint(0, WORDS, (num_rows, 5), generator=_chance())
        self.samples = [(row, int(row[0] > row[-1])) for row in rows]


class Recurrent(nn.Module):
    """A GRU that returns (logits, state)."""

    def __init__(self, num_embeddings: int = WORDS, num_classes: int = 2) -> None:
        super().__init__()
        self.embed = nn.Embedding(num_embeddings, 6)
        self.gru = nn.GRU(6, 7, batch_first=True)
        self.out = nn.Linear(7, num_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        _, state = self.gru(self.embed(x))
        return self.out(state[-1]), state


class Pairs(Listed):
    """A number a row from two named inputs: four floats and the index of a user."""

    def __init__(self, num_rows: int = 60) -> None:
        x = torch.randn(num_rows, 4, generator=_chance())
        users = torch.randint(0, 5, (num_rows,), generator=_chance(1))
        y = 100 + 20 * x[:, :1] + 10 * users[:, None]
        self.samples = [{"x": a, "user": b, "target": c} for a, b, c in zip(x, users, y, strict=True)]


class TwoTowers(nn.Module):
    """A number from a row and a user."""

    def __init__(self, num_outputs: int = 1) -> None:
        super().__init__()
        self.users, self.out = nn.Embedding(5, 3), nn.Linear(7, num_outputs)

    def forward(self, x: Tensor, user: Tensor) -> Tensor:
        return self.out(torch.cat([x, self.users(user)], 1))


class Many(Listed):
    """Rows of four floats with three labels: which of the first three are above 0."""

    classes = ("a", "b", "c,d")

    def __init__(self, num_rows: int = 60) -> None:
        x = torch.randn(num_rows, 4, generator=_chance())
        self.samples = [(row, row[:3] > 0) for row in x]


class Grids(Listed):
    """Rows of four floats with 2×2 numbers."""

    def __init__(self, num_rows: int = 40) -> None:
        x = torch.randn(num_rows, 4, generator=_chance())
        self.samples = [(row, row.reshape(2, 2) * 3) for row in x]


class Grid(nn.Linear):
    """2×2 numbers of a row."""

    def __init__(self) -> None:
        super().__init__(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).reshape(-1, 2, 2)


class Points(Listed):
    """Rows of four floats and nothing else."""

    def __init__(self, num_rows: int = 40) -> None:
        self.samples = list(torch.randn(num_rows, 4, generator=_chance()))


class Noisy(nn.Module):
    """An autoencoder that draws, in evaluations as well, and returns a tuple."""

    def __init__(self) -> None:
        super().__init__()
        self.encode, self.decode = nn.Linear(4, 2), nn.Linear(2, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean = self.encode(x)
        return self.decode(mean + torch.randn_like(mean)), mean


class Judge(nn.Module):
    """A classifier of token rows that returns its own loss if it is given the target."""

    def __init__(self, num_embeddings: int = WORDS, num_classes: int = 2) -> None:
        super().__init__()
        self.embed, self.out = nn.Embedding(num_embeddings, 6), nn.Linear(6, num_classes)

    def forward(self, ids: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:
        logits = self.out(self.embed(ids).mean(1))
        loss = {} if labels is None else {"loss": nn.functional.cross_entropy(logits, labels)}
        return {**loss, "logits": logits}
