"""The losses that a config names by a word: their values, their keys, and what loss=auto takes."""

import pytest
import torch
from conftest import config
from torch import nn

from trainer.build.build import build
from trainer.data.facts import Facts, Spec
from trainer.data.meaning import Meaning
from trainer.errors import ConfigError
from trainer.loop import evaluate
from trainer.tasks import losses
from trainer.tasks.quantile import QuantileLoss, middle
from trainer.tasks.task import Task

QUICK = ("threads=1", "device=cpu", "max_steps=1")
CASES = [
    (["loss.label_smoothing=0.1", "loss.ignore_index=1"], nn.CrossEntropyLoss(label_smoothing=0.1, ignore_index=1)),
    (["loss=cross_entropy", "loss.label_smoothing=0.2"], nn.CrossEntropyLoss(label_smoothing=0.2)),
    (["loss=nll", "loss.ignore_index=1"], nn.NLLLoss(ignore_index=1)),
    (["dataset=diabetes"], nn.MSELoss()),
    (["dataset=diabetes", "loss=l1"], nn.L1Loss()),
    (["dataset=diabetes", "dataset.scale_targets=false", "loss=huber", "loss.delta=2"], nn.HuberLoss(delta=2.0)),
    (["dataset=diabetes", "dataset.scale_targets=false", "loss=quantile"], QuantileLoss()),
    (["dataset=diabetes", "dataset.scale_targets=false", "loss=quantile", "loss.quantiles=[0.2]"], QuantileLoss([0.2])),
]


@pytest.mark.parametrize(("words", "expected"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_a_word_names_a_loss_with_its_keys(words: list[str], expected: nn.Module) -> None:
    run, setup = build(config(*QUICK, "guards=none", *words))
    x, y = setup.splits.sample
    prediction = run.model(x)
    assert torch.equal(run.loss(prediction, y, x), expected(prediction, y))


def test_a_key_of_classes_is_refused_for_numbers() -> None:
    with pytest.raises(ConfigError, match=r"loss.label_smoothing is for classes, but the targets are numbers"):
        build(config(*QUICK, "dataset=diabetes", "loss.label_smoothing=0.1"))


class Weighed(nn.Module):
    """Keys of its own, which are named like those of a loss of classes."""

    def __init__(self, weight: float, class_axis: int) -> None:
        super().__init__()
        self.weight, self.class_axis = weight, class_axis

    def forward(self, prediction: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return self.weight * (prediction - y).square().mean()


def test_a_loss_of_your_own_gets_its_keys_whatever_their_names() -> None:
    words = (f"loss._target_={__name__}.Weighed", "loss.weight=0.5", "loss.class_axis=2")
    run, _ = build(config(*QUICK, "dataset=diabetes", *words))
    assert (run.loss_fn.weight, run.loss_fn.class_axis) == (0.5, 2)


class Skips(nn.Module):
    def __init__(self, ignore_index: int) -> None:
        super().__init__()


class Own(Task):
    loss = f"{__name__}.Skips"


def test_a_key_of_classes_reaches_the_loss_of_your_own_task_that_takes_it() -> None:
    node = {"_target_": "auto", "ignore_index": 7, "weight": None}
    facts = Facts(Spec((1,)), Meaning("free", ""))
    expected = {"_target_": Own.loss, "ignore_index": 7}
    assert losses.resolve(node, facts, {"_target_": f"{__name__}.Own"}) == expected


@pytest.mark.parametrize("kind", losses.ELEMENTWISE, ids=lambda kind: kind.__name__)
def test_batches_of_rows_of_other_lengths_weigh_as_all_their_numbers_would(kind: type[nn.Module]) -> None:
    """As those that a collate_fn pads."""
    loss_fn, chance = kind(), torch.Generator().manual_seed(0)
    size = 3 if kind is QuantileLoss else 1
    predictions, targets = (
        [torch.rand(2, 3 * n, generator=chance), torch.rand(3, 5 * n, generator=chance)] for n in (size, 1)
    )
    denominator, counted = losses.denominator(loss_fn)
    weights = [denominator(y, len(y)) for y in targets]
    means = [loss_fn(prediction, y) for prediction, y in zip(predictions, targets, strict=True)]
    flat = torch.cat([part.reshape(-1, size) for part in predictions]), torch.cat([y.flatten() for y in targets])
    whole = loss_fn(flat[0] if size > 1 else flat[0][:, 0], flat[1])
    assert counted == "elements"
    assert float(sum(w * m for w, m in zip(weights, means, strict=True)) / sum(weights)) == pytest.approx(whole.item())


def test_the_pinball_loss_is_that_computed_by_hand() -> None:
    """Two rows of two numbers, three quantiles of each side by side."""
    loss_fn = QuantileLoss([0.1, 0.5, 0.9])
    y = torch.tensor([[1.0, 10.0], [2.0, 20.0]])
    prediction = torch.tensor([[0.0, 1.0, 3.0, 8.0, 10.0, 14.0], [2.0, 4.0, 2.0, 25.0, 19.0, 20.0]])
    first = 0.1 * 1 + 0 + 0.1 * 2 + 0.1 * 2 + 0 + 0.1 * 4  # too low: q for each unit; too high: 1 - q
    second = 0 + 0.5 * 2 + 0 + 0.9 * 5 + 0.5 * 1 + 0
    assert loss_fn(prediction, y).item() == pytest.approx((first + second) / 12)
    assert loss_fn(prediction[:, :3], y[:, 0]).item() == pytest.approx((0.3 + 1.0) / 6)
    assert middle(prediction, y).tolist() == [[1.0, 10.0], [4.0, 19.0]]
    with pytest.raises(ValueError, match=r"3 quantiles of targets \(2, 2\) need outputs of shape \(2, 6\), not"):
        loss_fn(y, y)


def test_quantiles_are_those_of_the_data_and_their_metrics_those_of_the_median() -> None:
    """A constant that minimises the loss is a quantile of the targets. The sizes of a model follow the quantiles."""
    run, setup = build(config(*QUICK, "dataset=diabetes", "loss=quantile", "loss.quantiles=[0.1,0.5,0.9]"))
    y = setup.splits.train.loader.y
    assert run.model(setup.splits.sample[0]).shape == (2, 3)
    levels = torch.quantile(y.flatten(), torch.tensor([0.1, 0.5, 0.9]))

    def at(moved: torch.Tensor) -> float:
        return float(run.loss_fn(moved.expand(len(y), 3), y))

    assert all(at(levels) <= at(levels + step * torch.eye(3)[k]) + 1e-6 for k in range(3) for step in (-5, 5))
    run.model.register_forward_hook(lambda module, args, output: levels.expand(len(output), 3))
    found = evaluate(run, run.val_batches.for_rank(run.ranks), "val")
    truth = setup.splits.val.loader.y
    assert found["val/mae"] == pytest.approx(float((truth - levels[1]).abs().mean()), rel=1e-5)
