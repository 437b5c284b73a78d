"""Metrics against numbers computed by hand and by scikit-learn, over uneven batches, on one rank and on several."""

import warnings

import numpy as np
import pytest
import torch
from torch import Tensor

from trainer.data.facts import Facts
from trainer.data.scaling import Standardize
from trainer.processes.ranks import Ranks
from trainer.stopping import METRICS
from trainer.tasks.metrics import Totals, known, measured

Batches = list[tuple[Tensor, Tensor]]


class Others(Ranks):
    """The first of several ranks; `others` did their part already."""

    def __init__(self, others: list[Totals]) -> None:
        super().__init__(0, 1 + len(others))
        self.others = others

    def tell(self, value: Tensor) -> Tensor:
        for totals in self.others:
            totals.add_ranks(Follower(value))
        return value

    def add_sums(self, sums: dict[str, Tensor]) -> dict[str, Tensor]:
        parts = [sums, *(totals.sums for totals in self.others)]
        return {name: torch.stack([part[name] for part in parts if name in part]).sum(0) for name in sums}


class Follower(Ranks):
    def __init__(self, told: Tensor) -> None:
        super().__init__(1, 2)
        self.told = told

    def tell(self, value: Tensor) -> Tensor:
        return self.told

    def add_sums(self, sums: dict[str, Tensor]) -> dict[str, Tensor]:
        return sums


def totals(task: str, batches: Batches, scale: Standardize | None = None) -> Totals:
    classes = ["0", "1", "2", "3", "4"] if task == "classes" else None
    sums = Totals(Facts((1,), classes, 1), list(METRICS[task]), scale)
    for prediction, y in batches:
        sums.add(prediction, y, torch.tensor(float(len(y))), torch.tensor(float(len(y)), dtype=torch.float64))
    return sums


def total(task: str, batches: Batches, scale: Standardize | None = None, size: int = 1) -> dict[str, float]:
    """size: of the ranks that share the batches; some may get none."""
    first, *others = (totals(task, batches[rank::size], scale) for rank in range(size))
    first.add_ranks(Others(others) if others else Ranks())
    return first.reduce("val")


def test_classes_by_hand() -> None:
    right, wrong = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    batches = [(right.repeat(3, 1), torch.tensor([1, 1, -100])), (wrong, torch.tensor([1]))]
    metrics = total("classes", batches)
    assert metrics["val/acc"] == 2 / 3  # the ignored target does not count
    assert metrics["val/loss"] == (3 * 3 + 1 * 1) / 4
    assert metrics["val/f1"] == (0 + 2 * 2 / (2 + 3)) / 2  # class 0 is guessed once and never true
    assert metrics["val/balanced_acc"] == 2 / 3  # class 0 is not among the targets


@pytest.mark.optional
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("num_classes", [2, 3, 40])  # of 40, not all occur
def test_scores_of_uneven_classes_against_scikit_learn(num_classes: int, size: int) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(num_classes)
    truth = (torch.rand(211, generator=generator) ** 3 * num_classes).long()
    logits = torch.randn(211, num_classes, generator=generator) + 2 * torch.nn.functional.one_hot(truth, num_classes)
    metrics = total("classes", list(zip(logits.split(17), truth.split(17), strict=True)), size=size)
    guess = logits.argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # y_pred contains classes not in y_true
        balanced = theirs.balanced_accuracy_score(truth, guess)
    assert metrics["val/f1"] == pytest.approx(theirs.f1_score(truth, guess, average="macro"), abs=1e-12)
    assert metrics["val/balanced_acc"] == pytest.approx(balanced, abs=1e-12)
    assert metrics["val/acc"] == pytest.approx(theirs.accuracy_score(truth, guess), abs=1e-12)


def test_which_metrics_a_run_measures() -> None:
    plain, all_of_them = ["loss", "acc"], ["loss", "acc", "f1", "balanced_acc"]
    assert measured("classes", 30, (50, 25), "val/acc") == plain  # twice as many, not more
    assert measured("classes", 30, (51, 25), "val/acc") == all_of_them
    assert measured("classes", 30, None, "val/acc") == plain
    assert measured("classes", 30, None, "val/balanced_acc") == all_of_them
    assert measured("numbers", 30, None, "val/loss") == known("numbers", 30) == ["loss", "mse", "mae", "r2"]
    assert known("numbers", 1) == ["loss", "mse", "mae"]
    assert known("numbers", 0) == known("classes", 0) == []


def test_numbers_by_hand_in_the_units_of_the_data() -> None:
    scale = Standardize(torch.tensor([10.0]), torch.tensor([2.0]), torch.float32)
    # truths 8, 10, 14 and predictions 10, 10, 12 before scaling
    batches = [
        (torch.tensor([[0.0], [0.0]]), torch.tensor([[-1.0], [0.0]])),
        (torch.tensor([[1.0]]), torch.tensor([[2.0]])),
    ]
    for size in (1, 2, 3):
        metrics = total("numbers", batches, scale, size)
        assert metrics["val/mse"] == pytest.approx((4 + 0 + 4) / 3)
        assert metrics["val/mae"] == pytest.approx((2 + 0 + 2) / 3)
        assert metrics["val/r2"] == pytest.approx(1 - 8 / (64 / 9 + 4 / 9 + 100 / 9))


def targets(kind: str) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(101, 3, generator=generator, dtype=torch.float64)
    return {
        "plain": noise * 5 + 100,
        "a large offset": noise * 1e-3 + torch.tensor([1.7e9, -1.7e9, 0.0], dtype=torch.float64),
        "some constant": noise * torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64) + 0.1,
        "all constant": noise * 0 + 1.7e9 / 3,
    }[kind]


@pytest.mark.optional
@pytest.mark.parametrize("size", [1, 3, 8])  # of 6 batches: with 8 ranks, two of them have none
@pytest.mark.parametrize("error", [0.0, 1e-3])
@pytest.mark.parametrize("kind", ["plain", "a large offset", "some constant", "all constant"])
def test_r2_against_scikit_learn(kind: str, error: float, size: int) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    truth = targets(kind)
    guess = truth + error * torch.linspace(-1, 1, 101, dtype=torch.float64)[:, None]
    metrics = total("numbers", list(zip(guess.split(17), truth.split(17), strict=True)), size=size)
    # Where scikit-learn's mean of equal numbers is rounded, its R² of them is not 0: it gets them counted from 0.
    shifted = truth.numpy() - truth[0].numpy()
    expected = theirs.r2_score(shifted, guess.numpy() - truth[0].numpy())
    assert metrics["val/r2"] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert (metrics["val/r2"] == 1.0) == (error == 0)
    assert metrics["val/mse"] == pytest.approx(theirs.mean_squared_error(truth, guess), rel=1e-9)
    assert metrics["val/mae"] == pytest.approx(theirs.mean_absolute_error(truth, guess), rel=1e-9)


def test_r2_of_scaled_targets_keeps_the_digits_that_float32_has() -> None:
    """Targets of 1.7e9 with a spread of 1, seen by a model in units of that spread, as float32."""
    generator = torch.Generator().manual_seed(0)
    y, noise = torch.randn(200, 1, generator=generator), torch.randn(200, 1, generator=generator) / 10
    scale = Standardize(*torch.tensor([[1.7e9], [1.0]], dtype=torch.float64), torch.float32)
    metrics = total("numbers", [(y + noise, y)], scale)
    truth, guess = (part.double().numpy() for part in (y, y + noise))
    expected = 1 - ((guess - truth) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
    assert metrics["val/r2"] == pytest.approx(expected, rel=1e-12)


def test_r2_of_a_single_row_is_undefined() -> None:
    assert np.isnan(total("numbers", [(torch.ones(1, 1), torch.zeros(1, 1))])["val/r2"])
