"""What a header says of data of any form, and of a loss with terms, within 78 columns."""

from typing import Any

import pytest
import torch
from conftest import config
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from trainer.build.build import build
from trainer.listeners.evaluation_table import EvaluationTable
from trainer.progress import Progress
from trainer.run import header
from trainer.terminal.screen import Screen
from trainer.text import WIDTH

OWN = ("dataset=own", "model=own", "threads=1", "device=cpu", "epochs=1")


class Rows(Dataset[Any]):
    def __len__(self) -> int:
        return 10


class Sentences(Rows):
    classes = ("other", "name", "place")

    def __getitem__(self, row: int) -> Tensor:
        return torch.arange(1 + row % 4) % 3

    def collate_fn(self, rows: list[Tensor]) -> dict[str, Any]:
        words = pad_sequence(rows, batch_first=True, padding_value=-100)
        return {"words": words.clamp_min(0), "mask": words >= 0, "text": "left out", "labels": words}


class Tagger(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, num_classes)

    def forward(self, words: Tensor, mask: Tensor) -> Tensor:
        return self.embed(words)


class Lines(Sentences):
    def collate_fn(self, rows: list[Tensor]) -> Any:
        words = pad_sequence(rows, batch_first=True, padding_value=-100)
        return words.clamp_min(0), words


class Views(Rows):
    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return torch.arange(6.0), torch.arange(6.0) + row


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 2)

    def forward(self, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        return self.linear(one), self.linear(other)


class Apart(nn.Module):
    """A loss with two terms, a parameter and a frozen part."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.teacher = nn.Parameter(torch.ones(())), nn.Linear(6, 2).requires_grad_(False)

    def forward(self, prediction: tuple[Tensor, Tensor], target: None) -> dict[str, Tensor]:
        one, other = prediction
        return {"distance": self.scale * (one - other).square().mean(), "size_of_the_weights": one.square().mean()}


class Pictures(Rows):
    def __getitem__(self, row: int) -> Tensor:
        return torch.full((2, 3), float(row))


class Twins(nn.Module):
    """Two outputs like the target."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"mean": self.linear(x), "spread": x}


class Same(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x)


ROWS = [
    "validation: 20% of the rows, drawn at random (split_seed 0)",
    "checked: a resume compares 10 of 10 rows, by position",
]
JOBS: dict[str, tuple[list[str], list[str], list[str]]] = {
    "padded sentences": (
        ["dataset._target_=test_header.Sentences", "model._target_=test_header.Tagger"],
        [
            "Sentences: 8 train / 2 val, 3 classes a position",
            "inputs words (length), mask (length)",
            "task tokens: several whole numbers a row",
            "the target is 'labels'; left out: text",
            *ROWS,
        ],
        ["CrossEntropyLoss; monitored: val/loss"],
    ),
    "padded lines": (
        [
            "dataset._target_=test_header.Lines",
            "model._target_=torch.nn.Embedding",
            "+model.num_embeddings=9",
            "+model.embedding_dim=3",
        ],
        [
            "Lines: 8 train / 2 val, input (length), 3 classes a position",
            "task tokens: several whole numbers a row",
            *ROWS,
        ],
        ["CrossEntropyLoss; monitored: val/loss"],
    ),
    "two views": (
        [
            "dataset._target_=test_header.Views",
            "dataset.inputs=[0,1]",
            "dataset.target=null",
            "model._target_=test_header.Encoder",
            "loss._target_=test_header.Apart",
        ],
        [
            "Views: 8 train / 2 val",
            "inputs (6), (6)",
            "task free: no target, so the loss gets None",
            *ROWS,
        ],
        [
            "Apart (distance, size_of_the_weights); monitored: val/loss",
            "taken as a mean over samples",
            "1 parameter trained with the model, 14 parameters frozen",
        ],
    ),
    "single tensors": (
        ["dataset._target_=test_header.Pictures", "model._target_=test_header.Same"],
        ["Pictures: 8 train / 2 val, 2×3", "task input: one tensor a sample, which is its own target", *ROWS],
        ["MSELoss; monitored: val/loss"],
    ),
    "two outputs that fit": (
        ["dataset._target_=test_header.Pictures", "model._target_=test_header.Twins"],
        ["Pictures: 8 train / 2 val, 2×3", "task input: one tensor a sample, which is its own target", *ROWS],
        ["MSELoss; monitored: val/loss", "loss and metrics take the output mean; spread would fit too"],
    ),
}


@pytest.mark.parametrize("job", JOBS)
def test_the_header_of_a_job(job: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, data, loss = JOBS[job]
    run, setup = build(config(*OWN, *words))
    with Screen() as screen:
        header.show(screen, run, setup)
    lines = capsys.readouterr().out.splitlines()
    text = "\n".join(lines)
    assert "data     " + "\n         ".join(data) + "\nmodel    " in text
    assert "loss     " + "\n         ".join(loss) + "\noptim    " in text
    assert max(map(len, lines)) <= WIDTH


def test_the_loss_of_mixed_rows_has_the_name_that_was_chosen() -> None:
    run, setup = build(config("model=cnn", "threads=1", "loss=cross_entropy", "augment.mixup=0.2"))
    assert header.loss_lines(run, setup) == ["CrossEntropyLoss; monitored: val/acc"]


def test_columns_of_many_terms_with_long_names() -> None:
    """The terms of train/loss go first, then the last ones; long names are cut where that leaves them apart."""
    terms = ("reconstruction", "divergence")
    names = ["train/loss", *(f"train/{term}" for term in terms), "val/loss", *(f"val/{term}" for term in terms)]
    table = EvaluationTable(Progress(10, 5, 5), [*names, "val/mse"])
    assert table.head() == "    epoch      step train/loss val/loss val/reconstr… val/divergen…  val/mse"
    values = dict.fromkeys([*names, "val/mse"], 0.5) | {"val/reconstruction": 1234567.8}
    assert table.row(5, values) == "      1/2         5     0.5000   0.5000  1234567.8000        0.5000   0.5000"
    assert table.num_left_out == 2
    uneven = ["train/loss", "val/loss", "val/acc", "val/f1", "val/balanced_acc"]  # they fit in full
    assert EvaluationTable(Progress(10, 5, 5), uneven).head().split()[2:] == uneven
    alike = ["train/loss", "val/loss", "val/reconstruction_a", "val/reconstruction_b", "val/z"]
    head = EvaluationTable(Progress(10, 5, 5), alike, "val/z").head()
    assert head.split() == ["epoch", "step", "train/loss", "val/loss", "val/reconstruction_a", "val/z"]
    assert len(head) <= WIDTH
