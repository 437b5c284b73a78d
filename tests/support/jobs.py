"""Eight jobs beyond one tensor in and one class out: a Dataset, a model and a loss each, and the words that train them.

Each learns something in its first epochs, and no guard trips on it.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from trainer.data import seeds


def own(**names: str) -> list[str]:
    """The words for classes of this file, by group: dataset, model, loss."""
    picked = [f"{group}=own" for group in names if group != "loss"]
    return [*picked, *(f"{group}._target_=jobs.{name}" for group, name in names.items())]


def draws(row: int) -> torch.Generator:
    return torch.Generator().manual_seed(seeds.derive(0, "job", row))


class Sentences(Dataset):
    """Words 1 to 11 in sentences of 3 to 9, with ids and tags in a dict; a tag is the word modulo 3.

    padding: of the tags; ids are padded with 0. masked: whether the batch holds a mask of the words too.
    """

    def __init__(self, num_rows: int = 200, padding: int = -100, masked: bool = False) -> None:
        self.num_rows, self.padding, self.masked = num_rows, padding, masked

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, row: int) -> dict[str, object]:
        ids = torch.randint(1, 12, (3 + row % 7,), generator=draws(row))
        return {"input_ids": ids, "labels": ids % 3, "text": f"row {row}"}

    def collate_fn(self, rows: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        ids = pad_sequence([row["input_ids"] for row in rows], batch_first=True)
        tags = pad_sequence([row["labels"] for row in rows], batch_first=True, padding_value=self.padding)
        masks = {"attention_mask": ids > 0} if self.masked else {}
        return {"input_ids": ids, **masks, "labels": tags}


class Lines(Sentences):
    """Sentences of one length whose words count upwards from anywhere: each tag is the word itself, for a causal
    model."""

    collate_fn = None  # type: ignore[assignment]

    def __init__(self, num_rows: int = 200, length: int = 8) -> None:
        super().__init__(num_rows)
        self.length = length

    def __getitem__(self, row: int) -> dict[str, object]:
        ids = (torch.arange(self.length) + row) % 12
        return {"input_ids": ids, "labels": ids.clone()}


class Tagger(nn.Module):
    """(N, T) ids, by name, to (N, T, classes)."""

    def __init__(self, num_classes: int, num_words: int = 12, width: int = 16) -> None:
        super().__init__()
        self.words, self.out = nn.Embedding(num_words, width), nn.Linear(width, num_classes)

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return self.out(self.words(input_ids))


class Softmaxed(Tagger):
    """Probabilities over the positions of a sentence."""

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        return super().forward(input_ids).softmax(1)


class ReadsPositions(nn.Module):
    """Takes (N, T, classes) as if it were (N, classes, T), which goes unseen where there are as many."""

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(prediction, y)


class Counted(nn.Module):
    """A cross-entropy that says itself what its mean divides by."""

    def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
        return nn.functional.cross_entropy(prediction.movedim(-1, 1), y)

    def denominator(self, y: Tensor) -> Tensor:
        return (y >= 0).sum()


class Causal(Tagger):
    """Returns its own loss beside the logits, as Hugging Face's models do; it shifts the labels itself."""

    def __init__(self, num_classes: int = 12) -> None:
        super().__init__(num_classes)

    def forward(self, input_ids: Tensor, labels: Tensor | None = None) -> dict[str, Tensor]:  # type: ignore[override]
        logits = super().forward(input_ids)
        if labels is None:
            return {"logits": logits}
        loss = nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
        return {"loss": loss, "logits": logits}


class Recurrent(nn.Module):
    """A GRU: (N, T, features) to the logits of the last step, and its state (1, N, width)."""

    def __init__(self, num_classes: int, width: int = 16) -> None:
        super().__init__()
        self.gru, self.out = nn.GRU(2, width, batch_first=True), nn.Linear(width, num_classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        outputs, state = self.gru(x)
        return self.out(outputs[:, -1]), state


class Broken(Recurrent):
    """A GRU with a weight of NaN."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        nn.init.constant_(self.gru.weight_ih_l0, torch.nan)


class Curves(Dataset):
    """Six points of a plane, on the left or on the right."""

    classes = ("left", "right")

    def __len__(self) -> int:
        return 200

    def __getitem__(self, row: int) -> tuple[Tensor, int]:
        return torch.randn(6, 2, generator=draws(row)) + 2 * (row % 2), row % 2


class Pairs(Dataset):
    """Two inputs of different sizes, and the sum of one number of each. scale: of the second input."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def __len__(self) -> int:
        return 200

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor, Tensor]:
        a, b = torch.randn(3, generator=draws(row)), torch.randn(2, generator=draws(1000 + row))
        return a, b * self.scale, a[:1] + b[:1]


class Towers(nn.Module):
    """Two inputs, one number."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.last = nn.Linear(3, 16), nn.Linear(2, 16), nn.Linear(16, 1)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return self.last((self.left(a) + self.right(b)).relu())


class Signs(Dataset):
    """Five numbers, and whether the first three of them are positive."""

    classes = ("first", "second", "third")

    def __len__(self) -> int:
        return 200

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(5, generator=draws(row))
        return x, x[:3] > 0


class Autoencoder(nn.Module):
    """Pictures through 16 numbers."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(in_features, 16), nn.Linear(16, in_features)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x.flatten(1)).relu())


class Variational(nn.Module):
    """Pictures through 4 numbers that are drawn, with their means and log-variances."""

    def __init__(self, in_features: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.Linear(in_features, 8), nn.Linear(4, in_features)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        mean, log_variance = self.encoder(x.flatten(1)).chunk(2, 1)
        drawn = mean + torch.randn_like(mean) * (log_variance / 2).exp()
        return {"output": self.decoder(drawn), "mean": mean, "log_variance": log_variance}


class Bound(nn.Module):
    """The two terms of a variational autoencoder. bad_at: the call in training from which on `kl` is NaN; watched:
    whether only the other one is minimised."""

    def __init__(self, bad_at: int = 0, watched: bool = False) -> None:
        super().__init__()
        self.calls, self.bad_at, self.watched = 0, bad_at, watched

    def forward(self, prediction: dict[str, Tensor], y: Tensor) -> dict[str, Tensor]:
        self.calls += self.training
        mean, log_variance = prediction["mean"], prediction["log_variance"]
        kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).mean()
        if 0 < self.bad_at <= self.calls:
            kl = kl * torch.nan
        fit = (prediction["output"] - y.flatten(1)).square().mean()
        return {"loss": fit, "kl": 0.1 * kl} if self.watched else {"fit": fit, "kl": 0.1 * kl}


class Distilled(nn.Module):
    """Cross-entropy with a temperature that is trained, and the answers of a teacher.

    thawed: whether its author forgot to freeze the teacher.
    """

    def __init__(self, width: int = 64, num_classes: int = 10, thawed: bool = False) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))
        self.teacher = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, num_classes))
        self.teacher.requires_grad_(thawed)

    def forward(self, prediction: Tensor, y: Tensor, inputs: Tensor) -> dict[str, Tensor]:
        soft = self.teacher(inputs.flatten(1)).softmax(1)
        hard = nn.functional.cross_entropy(prediction * self.temperature, y)
        return {"hard": hard, "soft": 0.1 * nn.functional.cross_entropy(prediction, soft)}


class Steadied(nn.Module):
    """Cross-entropy over its own running mean, a buffer: nothing in it is trained. odd: whether it has a term that is
    missing in an evaluation."""

    def __init__(self, odd: bool = False) -> None:
        super().__init__()
        self.odd = odd
        self.register_buffer("mean", torch.ones(()))

    def forward(self, prediction: Tensor, y: Tensor) -> dict[str, Tensor]:
        found = nn.functional.cross_entropy(prediction, y)
        if self.training:
            self.mean.mul_(0.9).add_(0.1 * found.detach())
        more = {"size": prediction.square().mean()} if self.odd and self.training else {}
        return {"loss": found / self.mean} | more


DIGITS = ["dataset=digits", "dataset.task=input"]
JOBS = {  # name: the words
    "tagger": own(dataset="Sentences", model="Tagger"),
    "two inputs": [*own(dataset="Pairs", model="Towers"), "dataset.inputs=[0,1]", "dataset.target=2"],
    "labels": own(dataset="Signs"),
    "autoencoder": [*DIGITS, *own(model="Autoencoder")],
    "variational": [*DIGITS, *own(model="Variational", loss="Bound")],
    "distilled": ["dataset=digits", *own(loss="Distilled")],
    "own loss": [*own(dataset="Lines", model="Causal"), "loss=model"],
    "recurrent": own(dataset="Curves", model="Recurrent"),
}
