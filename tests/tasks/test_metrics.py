"""Metrics against numbers computed by hand and by scikit-learn, over uneven batches."""

import pytest
import torch
from torch import Tensor

from trainer.data.scaling import Standardize
from trainer.tasks.metrics import Totals


def total(task: str, batches: list[tuple[Tensor, Tensor]], scale: Standardize | None = None) -> dict[str, float]:
    totals = Totals(task, scale)
    for prediction, y in batches:
        totals.add(prediction, y, torch.tensor(float(len(y))), torch.tensor(float(len(y)), dtype=torch.float64))
    return totals.reduce("val")


def test_classes_by_hand() -> None:
    right, wrong = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    batches = [(right.repeat(3, 1), torch.tensor([1, 1, -100])), (wrong, torch.tensor([1]))]
    metrics = total("classes", batches)
    assert metrics["val/acc"] == 2 / 3  # the ignored target does not count
    assert metrics["val/loss"] == (3 * 3 + 1 * 1) / 4


def test_numbers_by_hand_in_the_units_of_the_data() -> None:
    scale = Standardize(torch.tensor([10.0]), torch.tensor([2.0]), torch.float32)
    # truths 8, 10, 14 and predictions 10, 10, 12 before scaling
    batches = [
        (torch.tensor([[0.0], [0.0]]), torch.tensor([[-1.0], [0.0]])),
        (torch.tensor([[1.0]]), torch.tensor([[2.0]])),
    ]
    metrics = total("numbers", batches, scale)
    assert metrics["val/mse"] == pytest.approx((4 + 0 + 4) / 3)
    assert metrics["val/mae"] == pytest.approx((2 + 0 + 2) / 3)
    assert metrics["val/r2"] == pytest.approx(1 - 8 / (64 / 9 + 4 / 9 + 100 / 9))


@pytest.mark.optional
def test_against_scikit_learn() -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(0)
    truth = torch.randn(101, 3, generator=generator) * 5 + 100
    guess = truth + torch.randn(101, 3, generator=generator)
    metrics = total("numbers", list(zip(guess.split(17), truth.split(17), strict=True)))
    assert metrics["val/r2"] == pytest.approx(theirs.r2_score(truth, guess), rel=1e-6)
    assert metrics["val/mse"] == pytest.approx(theirs.mean_squared_error(truth, guess), rel=1e-6)
    assert metrics["val/mae"] == pytest.approx(theirs.mean_absolute_error(truth, guess), rel=1e-6)
