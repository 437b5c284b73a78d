"""What outcome.json holds, measured on real runs and read back."""

import json
from pathlib import Path

import pytest
import torch
from conftest import config
from jobs import JOBS
from torch import nn

from trainer.build import sizes
from trainer.build.build import build
from trainer.config import files
from trainer.data.embedded import Digits, Iris
from trainer.data.roles import random_roles
from trainer.disk import layout, outcome
from trainer.disk.outcome import Layer, Outcome, Predictions
from trainer.report import run_page
from trainer.report.changes import changes
from trainer.report.layers import layers
from trainer.report.predictions import measure


def test_the_most_confident_mistakes_are_those_of_the_model() -> None:
    run, setup = build(config("model=linear", "seed=3", "threads=1", "loader.eval_batch_size=100"))
    predictions = measure(run, setup.splits.preprocessing, run.val_batches, setup.splits.val.part, "validation")
    rows = torch.from_numpy(random_roles(1797, 0.2, 0)).nonzero()[:, 0]
    data = Digits()
    x, y = data[rows]
    chances = run.model(setup.splits.train.loader.scale_x(x)).detach().softmax(1)
    score, guess = chances.max(1)
    wrong = [(float(score[i]), i) for i in range(len(y)) if guess[i] != y[i]]
    expected = sorted(wrong, reverse=True)[:16]
    assert [mistake.row for mistake in predictions.mistakes] == [int(rows[row]) for _, row in expected]
    assert [mistake.score for mistake in predictions.mistakes] == pytest.approx([score for score, _ in expected])
    worst, (all_x, all_y) = predictions.mistakes[0], data.tensors
    guess = dict(zip(rows.tolist(), guess, strict=True))
    assert (worst.truth, worst.guess) == (int(all_y[worst.row]), int(guess[worst.row]))
    shown = torch.frombuffer(bytearray(worst.picture.pixels), dtype=torch.uint8).reshape(8, 8)
    assert torch.equal(shown, (all_x[worst.row, 0] * (255 / 16)).round().to(torch.uint8))
    assert sum(predictions.confusions.values()) == len(y)
    for truth in range(10):
        for other in range(10):
            count = int(((y == truth) & (chances.argmax(1) == other)).sum())
            assert predictions.confusions.get((truth, other), 0) == count


def test_rows_are_shown_in_the_datas_units(tmp_path: Path) -> None:
    run, setup = build(config("dataset=iris", "model=linear", "threads=1"))
    predictions = measure(run, setup.splits.preprocessing, run.val_batches, setup.splits.val.part, "validation")
    assert list(predictions.inputs) == ["sepal length", "sepal width", "petal length", "petal width"]
    assert len(predictions.mistakes) > 0
    for mistake in predictions.mistakes:
        assert mistake.values == [f"{value:.4g}" for value in Iris().x[mistake.row].tolist()]
    run, setup = build(config("dataset=diabetes", "model=linear", "threads=1"))
    predictions = measure(run, setup.splits.preprocessing, run.val_batches, setup.splits.val.part, "validation")
    errors = sorted((abs(truth - guess) for truth, guess in predictions.pairs), reverse=True)[:16]
    assert [mistake.score for mistake in predictions.mistakes] == pytest.approx(errors)
    assert predictions.mistakes[0].score == abs(predictions.mistakes[0].truth - predictions.mistakes[0].guess)
    found = Outcome(7, predictions, [Layer("a", "b", [2], 3)], [("k", "v", "d")])
    outcome.write(tmp_path, found)
    assert outcome.read(tmp_path) == Outcome(
        7,
        Predictions(
            "validation",
            None,
            {},
            [tuple(pair) for pair in predictions.pairs],
            predictions.mistakes,
            predictions.inputs,
        ),
        [Layer("a", "b", [2], 3)],
        [("k", "v", "d")],
    )


def test_scores_by_hand() -> None:
    predictions = Predictions("validation", ["a", "b", "c"], {(0, 0): 3, (0, 1): 1, (1, 0): 2, (1, 1): 4})
    assert predictions.scores() == [(4, 3 / 5, 3 / 4, 6 / 9), (6, 4 / 5, 4 / 6, 8 / 11), (0, 0.0, 0.0, 0.0)]
    assert predictions.weakest() == ("a", 6 / 9, "b", 1)
    assert predictions.mix_ups() == [(1, 0, 2), (0, 1, 1)]
    never = Predictions("validation", ["a", "b", "c"], {(0, 0): 3, (0, 2): 1, (1, 1): 4})
    assert never.weakest() == ("a", 6 / 7, "c", 1)  # c never occurs: its F1 of 0 says nothing
    assert Predictions("validation", ["a"], {(0, 0): 3}).weakest() is None


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(4))
        self.first, self.last, self.unused = nn.Linear(4, 4), nn.Linear(4, 4, bias=False), nn.Linear(2, 3)
        self.last.weight = self.first.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x).relu()) * self.scale


def test_layers_come_in_the_order_they_run() -> None:
    model = Tied()
    found = layers(model, model, torch.zeros(2, 4))
    assert [(layer.name, layer.output, layer.parameters) for layer in found] == [
        ("first", [4], 20), ("last", [4], 0), ("", [4], 4), ("unused", None, 9)
    ]  # fmt: skip
    assert sum(layer.parameters for layer in found) == sizes.num_parameters(model)
    assert not any(module._forward_hooks for module in model.modules())
    run, setup = build(config("model=cnn", "model.channels=[4,8]", "threads=1"))
    found = layers(run.model, run.call, setup.splits.sample[0])
    assert [layer.output for layer in found if layer.kind.startswith("Conv2d")] == [[4, 8, 8], [8, 4, 4]]
    assert sum(layer.parameters for layer in found) == sizes.num_parameters(run.model)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gru, self.out = nn.GRU(4, 5, batch_first=True), nn.Linear(5, 2)

    def forward(self, steps: torch.Tensor, more: torch.Tensor) -> dict[str, torch.Tensor]:
        states, last = self.gru(steps)
        return {"logits": self.out(states) + more, "last": last}


def test_layers_of_a_model_with_several_inputs_and_outputs() -> None:
    model = Recurrent()
    found = layers(model, lambda x: model(**x), {"steps": torch.zeros(2, 7, 4), "more": torch.zeros(2, 7, 2)})
    assert [(layer.name, layer.output) for layer in found] == [("gru", [7, 5]), ("out", [7, 2])]
    assert sum(layer.parameters for layer in found) == sizes.num_parameters(model)


def test_an_outcome_without_figures_is_an_older_one(tmp_path: Path) -> None:
    older = {"split": "validation", "classes": [" ", "b"], "confusions": [[0, 1, 2]], "pairs": [], "mistakes": []}
    (tmp_path / layout.OUTCOME).write_text(json.dumps({"format": 1, "outcome": older}))
    found = outcome.read(tmp_path)
    assert found is not None
    assert found.predictions == Predictions("validation", [" ", "b"], {(0, 1): 2}, [], [], ())
    assert "␣</th>" in run_page.page(tmp_path)  # a class that is a space can be seen


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], []),
        (["loss=cross_entropy"], ["loss cross_entropy auto"]),
        (["model.hidden=[7]", "loader.batch_size=32"], ["model.hidden [7] [128]", "loader.batch_size 32 64"]),
        (
            ["model=cnn", "model.channels=[4]", "optimizer=sgd", "optimizer.lr=0.5"],
            ["model cnn mlp", "model.channels [4] [32, 64]", "optimizer sgd adamw", "optimizer.lr 0.5 0.1"],
        ),
        (
            [*JOBS["tagger"]],
            ["dataset jobs.Sentences digits", "model jobs.Tagger mlp"],
        ),
        (["dataset=diabetes", "loss=l1", "seed=7"], ["dataset diabetes digits", "loss l1 auto", "seed 7 0"]),
    ],
)
def test_what_differs_from_the_defaults(words: list[str], expected: list[str]) -> None:
    import dataclasses

    _, setup = build(config(*words, "threads=1"))
    found = changes(dataclasses.asdict(setup.config), files.roots())
    assert sorted(" ".join(row) for row in found) == sorted(expected)
