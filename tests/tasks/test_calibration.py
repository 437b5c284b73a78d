"""Calibration against torchmetrics, scikit-learn, a case by hand, and a search over temperatures."""

import pytest
import torch

from trainer.tasks import calibration


def made(seed: int, sharpness: float = 3.0, rows: int = 500) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that are `sharpness` times too sure of the classes that are drawn from them."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(rows, 4, generator=generator, dtype=torch.float64) * 1.5
    return logits * sharpness, torch.multinomial(logits.softmax(1), 1, generator=generator)[:, 0]


def test_four_rows_by_hand() -> None:
    """Confidences 0.9, 0.8, 0.6 and 0.6; right, wrong, right, wrong. In bins of 1/5: 0.9 alone (|1 - 0.9|), 0.8 and
    both 0.6 above 0.6 up to 0.8 are (0.8) and up to 0.6 are (0.6, 0.6)."""
    p = torch.tensor([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.6, 0.4]], dtype=torch.float64)
    y = torch.tensor([0, 1, 0, 1])
    assert calibration.ece(p, y, 5) == pytest.approx((0.1 + 0.8 + 2 * abs(0.5 - 0.6)) / 4)
    assert calibration.brier(p, y).tolist() == pytest.approx([0.01, 0.64, 0.16, 0.36])


@pytest.mark.optional
@pytest.mark.parametrize("seed", range(5))
def test_ece_is_torchmetrics(seed: int) -> None:
    metrics = pytest.importorskip("torchmetrics.functional.classification")
    logits, y = made(seed)
    theirs = metrics.multiclass_calibration_error(logits.softmax(1).float(), y, num_classes=4, n_bins=15, norm="l1")
    assert calibration.ece(logits.softmax(1), y) == pytest.approx(float(theirs), abs=1e-6)


@pytest.mark.optional
@pytest.mark.parametrize("classes", [2, 5])
def test_brier_is_scikit_learns(classes: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    generator = torch.Generator().manual_seed(0)
    p = torch.randn(300, classes, dtype=torch.float64, generator=generator).softmax(1)
    y = torch.multinomial(p, 1, generator=generator)[:, 0]
    theirs = metrics.brier_score_loss(y.numpy(), p.numpy(), labels=list(range(classes)))
    assert float(calibration.brier(p, y).mean()) == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 3.0])
def test_the_temperature_is_the_best_of_all_and_changes_no_answer(sharpness: float) -> None:
    logits, y = made(0, sharpness, 4000)
    found = calibration.temperature(logits, y)
    assert found == pytest.approx(sharpness, rel=0.1)
    best = min(calibration.nll(logits / (found * step), y) for step in (0.9, 0.99, 0.999, 1.001, 1.01, 1.1))
    assert calibration.nll(logits / found, y) <= best
    assert torch.equal((logits / found).argmax(1), logits.argmax(1))


def test_held_out_rows_gain_from_it() -> None:
    """An over-trained model is too sure: on rows that the temperature has not seen nll falls in at least 18 of 20."""
    gained = 0
    for seed in range(20):
        logits, y = made(seed)
        found = calibration.temperature(logits[:250], y[:250])
        gained += calibration.nll(logits[250:] / found, y[250:]) < calibration.nll(logits[250:], y[250:])
    assert gained >= 18


def test_answers_that_are_all_right_or_all_wrong() -> None:
    """Of the first no temperature is the best: they keep theirs. The second should say that they know nothing."""
    logits = torch.tensor([[2.0, 0.0]] * 5)
    assert calibration.temperature(logits, torch.zeros(5, dtype=torch.int64)) == 1
    assert calibration.temperature(logits, torch.ones(5, dtype=torch.int64)) == pytest.approx(calibration.HIGH)


def test_each_part_is_divided_by_the_temperature_of_the_others() -> None:
    """Two entries a row, as of two labels: both are in one part."""
    logits, y = made(0, rows=46)
    row = torch.arange(23).repeat_interleave(2)
    used = logits[:, 0] / calibration.cross_fitted(logits, y, row)[:, 0]
    assert torch.allclose(used[::2], used[1::2])
    groups = [(used - value).abs() < 1e-9 for value in used]
    assert sorted({int(group.sum()) for group in groups}) == [8, 10]
    for group in groups:
        assert float(used[group][0]) == pytest.approx(calibration.temperature(logits[~group], y[~group]), abs=1e-9)
