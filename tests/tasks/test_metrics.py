"""A task's own metrics against numbers computed by hand and by scikit-learn, over uneven batches, on one rank and on
several."""

import math
import warnings

import numpy as np
import pytest
import together
import torch
from together import Batches
from torch import Tensor

from trainer.data.facts import Facts, Spec
from trainer.data.meaning import Meaning
from trainer.data.scaling import Standardize
from trainer.stopping import METRICS
from trainer.tasks import kinds as tasks
from trainer.tasks.classes import OF_CLASSES
from trainer.tasks.metrics import known, measured


def total(
    task: str, batches: Batches, scale: Standardize | None = None, size: int = 1, axis: int = 1, ignored: int = -100
) -> dict[str, float]:
    """All that a task measures; size: of the ranks that share the batches."""
    num_outputs = batches[0][0].shape[axis]
    names = [str(n) for n in range(num_outputs)] if task not in ("numbers", "input") else None
    facts = Facts(Spec((1,)), Meaning(task, "", names, num_outputs, ignored))
    wanted = OF_CLASSES if issubclass(tasks.TASKS[task], tasks.Classes) else METRICS[task]
    found = together.measured(lambda: tasks.make(facts, scale, axis), [*wanted], batches, size)
    assert all(str(one) == str(found[0]) for one in found)
    return found[0]


def split(prediction: Tensor, y: Tensor, size: int = 17) -> Batches:
    return list(zip(prediction.split(size), y.split(size), strict=True))


def test_classes_by_hand() -> None:
    right, wrong = torch.tensor([[0.0, 1.0]]), torch.tensor([[1.0, 0.0]])
    batches = [(right.repeat(3, 1), torch.tensor([1, 1, -100])), (wrong, torch.tensor([1]))]
    metrics = total("classes", batches)
    assert metrics["val/acc"] == 2 / 3  # the ignored target does not count
    assert metrics["val/f1"] == (0 + 2 * 2 / (2 + 3)) / 2  # class 0 is guessed once and never true
    assert metrics["val/balanced_acc"] == 2 / 3  # class 0 is not among the targets
    assert metrics["val/iou"] == (0 / 1 + 2 / 3) / 2
    surprise = (2 * math.log(1 + math.exp(-1)) + math.log(1 + math.exp(1))) / 3
    assert metrics["val/perplexity"] == pytest.approx(math.exp(surprise), rel=1e-6)
    assert metrics["val/bits"] == pytest.approx(surprise / math.log(2), rel=1e-6)


@pytest.mark.optional
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("num_classes", [2, 3, 40])  # of 40, not all occur
def test_scores_of_uneven_classes_against_scikit_learn(num_classes: int, size: int) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(num_classes)
    truth = (torch.rand(211, generator=generator) ** 3 * num_classes).long()
    logits = torch.randn(211, num_classes, generator=generator) + 2 * torch.nn.functional.one_hot(truth, num_classes)
    metrics = total("classes", split(logits, truth), size=size)
    guess = logits.argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # y_pred contains classes not in y_true
        balanced = theirs.balanced_accuracy_score(truth, guess)
    assert metrics["val/f1"] == pytest.approx(theirs.f1_score(truth, guess, average="macro"), abs=1e-12)
    assert metrics["val/iou"] == pytest.approx(theirs.jaccard_score(truth, guess, average="macro"), abs=1e-12)
    assert metrics["val/balanced_acc"] == pytest.approx(balanced, abs=1e-12)
    assert metrics["val/acc"] == pytest.approx(theirs.accuracy_score(truth, guess), abs=1e-12)
    loss = theirs.log_loss(truth, logits.double().softmax(1), labels=list(range(num_classes)))
    assert metrics["val/perplexity"] == pytest.approx(math.exp(loss), rel=1e-6)
    assert metrics["val/bits"] == pytest.approx(loss / math.log(2), rel=1e-6)


@pytest.mark.optional
@pytest.mark.parametrize(("task", "axis"), [("tokens", 2), ("tokens", 1), ("pixels", 1)])
@pytest.mark.parametrize("ignored", [-100, 255, 0])
@pytest.mark.parametrize("size", [1, 2])
def test_positions_that_do_not_count_against_scikit_learn(task: str, axis: int, ignored: int, size: int) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(ignored + 200)
    shape = (23, 7) if task == "tokens" else (23, 5, 4)
    y = torch.randint(0, 4, shape, generator=generator)
    y[torch.rand(shape, generator=generator) < 0.3] = ignored
    logits = torch.randn(*shape, 5, generator=generator)  # class 4 is never true
    logits[..., 0] = -math.inf  # a class that is masked: its logarithm is not a number to multiply by 0
    y[y == 0] = 1 if ignored != 0 else 0
    counted = y != ignored
    truth, guess, logs = y[counted], logits.argmax(-1)[counted], logits.double().log_softmax(-1)[counted]
    metrics = total(task, split(logits.movedim(-1, axis), y, 5), size=size, axis=axis, ignored=ignored)
    assert metrics["val/acc"] == pytest.approx(theirs.accuracy_score(truth, guess), abs=1e-12)
    assert metrics["val/f1"] == pytest.approx(theirs.f1_score(truth, guess, average="macro"), abs=1e-12)
    assert metrics["val/iou"] == pytest.approx(theirs.jaccard_score(truth, guess, average="macro"), abs=1e-12)
    expected = -float(logs.gather(1, truth[:, None]).mean())
    assert metrics["val/perplexity"] == pytest.approx(math.exp(expected), rel=1e-6)


@pytest.mark.optional
@pytest.mark.parametrize("size", [1, 2, 8])  # of 6 batches: with 8 ranks, two of them have none
def test_labels_against_scikit_learn(size: int) -> None:
    theirs = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(3)
    y = (torch.rand(90, 4, generator=generator) < torch.tensor([0.5, 0.1, 0.9, 0.0])).float()
    logits = torch.randn(90, 4, generator=generator) + y
    logits[:, 3] = -1.0  # a label that is never true and never answered
    metrics = total("labels", split(logits, y), size=size)
    truth, guess = y[:, :3].numpy(), (logits[:, :3] > 0).numpy()
    assert metrics["val/f1"] == pytest.approx(theirs.f1_score(truth, guess, average="macro"), abs=1e-12)
    assert metrics["val/subset_acc"] == pytest.approx(theirs.accuracy_score(truth, guess), abs=1e-12)


def test_which_metrics_a_run_measures() -> None:
    plain, all_of_them = ["loss", "acc"], ["loss", "acc", "f1", "balanced_acc"]
    modes = METRICS["classes"]
    assert measured("classes", modes, 30, (50, 25), "val/acc") == plain  # twice as many, not more
    assert measured("classes", modes, 30, (51, 25), "val/acc") == all_of_them
    assert measured("classes", modes, 30, None, "val/acc") == plain
    assert measured("classes", modes, 30, None, "val/balanced_acc") == all_of_them
    assert measured("classes", modes, 30, None, "val/acc", ["f1", "iou"]) == [*plain, "f1", "iou"]
    numbers = METRICS["numbers"]
    assert measured("numbers", numbers, 30, None, "val/loss") == known(numbers, 30) == ["loss", "mse", "mae", "r2"]
    assert known(numbers, 1) == ["loss", "mse", "mae"]
    assert known(numbers, 0) == known(modes, 0) == []


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
    flat = [(output, y[:, 0]) for output, y in batches]  # as a loss of your own may take them
    assert total("numbers", flat, scale) == total("numbers", batches, scale)


def test_the_input_by_hand() -> None:
    x = torch.arange(12.0).reshape(3, 2, 2)
    batches = [(x[:2].flatten(1) + 1, x[:2]), (x[2:].flatten(1) - 3, x[2:])]
    for size in (1, 2, 3):
        assert total("input", batches, size=size)["val/mse"] == (8 * 1 + 4 * 9) / 12


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
    metrics = total("numbers", split(guess, truth), size=size)
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
