"""What each task shows of its predictions, against NumPy and scikit-learn."""

import numpy as np
import pytest
import torch
from torch import Tensor

from trainer.data.facts import Facts, Spec
from trainer.data.meaning import Meaning
from trainer.data.scaling import Standardize
from trainer.disk.figures import MOST_POINTS, MOST_SIDE, Curves, Matrices, Pictures, Table, Texts
from trainer.tasks.classes import Classes
from trainer.tasks.figures.chosen import Chosen
from trainer.tasks.figures.classes import ClassDrawing
from trainer.tasks.figures.drawing import Source
from trainer.tasks.figures.inputs import InputDrawing
from trainer.tasks.figures.labels import LabelDrawing
from trainer.tasks.figures.pictures import colour
from trainer.tasks.figures.pixels import PixelDrawing
from trainer.tasks.figures.thresholds import ranked
from trainer.tasks.figures.tokens import TokenDrawing

CHANCE = torch.Generator().manual_seed(0)


def source(num_rows: int) -> Source:
    return Source(torch.arange(num_rows) * 10)  # a row's number in the data is ten times its place in the split


def test_the_first_and_the_worst_rows_of_all_batches() -> None:
    chosen, scores = Chosen(range(100, 200), 3), torch.rand(90, generator=CHANCE)
    scores[5] = torch.nan
    for part in scores.split(7):
        chosen.add(part, lambda place, part=part: float(part[place]))
    (_, first), (_, worst) = chosen.groups()
    assert [shown.row for shown in first] == [100, 101, 102]
    assert [shown.row for shown in worst] == [100 + int(row) for row in scores.nan_to_num(0).topk(3).indices]
    assert all(shown.content == pytest.approx(shown.score) for shown in worst)


@pytest.mark.optional
def test_labels_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truths = torch.rand(83, 3, generator=CHANCE) < torch.tensor([0.5, 0.2, 0.9])
    logits = torch.randn(83, 3, generator=CHANCE) + truths * torch.tensor([3.0, 1.0, 0.0])
    logits = (logits * 4).round() / 4  # some scores are equal
    drawing = LabelDrawing(["a", "b", "c"], source(83))
    for part in (slice(0, 50), slice(50, 83)):
        drawing.add(None, logits[part], truths[part].float())
    matrices, roc, recall, table, worst = drawing.figures()
    assert isinstance(matrices, Matrices)
    counts = [counts for _, counts in matrices.parts]
    assert np.array_equal(counts, metrics.multilabel_confusion_matrix(truths.numpy(), logits.numpy() > 0))
    assert isinstance(roc, Curves)
    assert isinstance(recall, Curves)
    for label in range(3):
        one, scores = truths[:, label].numpy(), logits[:, label].numpy()
        x, y = zip(*roc.series[label][1], strict=True)
        assert np.trapezoid(y, x) == pytest.approx(metrics.roc_auc_score(one, scores))
        found = np.array(recall.series[label][1])
        precision = found[:, 1]
        area = (np.diff(found[:, 0], prepend=0.0) * precision).sum()
        assert area == pytest.approx(metrics.average_precision_score(one, scores))
    assert isinstance(table, Table)
    f1 = metrics.f1_score(truths.numpy(), logits.numpy() > 0, average=None)
    assert [row[-1] for row in table.rows] == pytest.approx(sorted(f1))
    losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, truths.float(), reduction="none").mean(1)
    losses[(truths == (logits > 0)).all(1)] = 0
    assert isinstance(worst, Table)
    assert [row[0] for row in worst.rows] == [str(10 * int(row)) for row in losses.topk(8).indices]


def class_drawing(classes: int, temperature: float | None = None) -> ClassDrawing:
    names = ["no", "yes", "maybe"][:classes]
    task = Classes(Facts(Spec((3,)), Meaning("classes", classes=names, num_outputs=classes)))
    task.temperature = temperature
    drawing = task.drawing(source(0))
    assert isinstance(drawing, ClassDrawing)
    return drawing


@pytest.mark.optional
def test_the_curves_of_two_classes_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truths = (torch.rand(83, generator=CHANCE) < 0.4).long()
    logits = torch.randn(83, 2, generator=CHANCE).double()
    logits[:, 1] += truths
    logits = (logits * 4).round() / 4  # some scores are equal
    drawing = class_drawing(2, 2.0)
    for part in (slice(0, 50), slice(50, 83)):
        drawing.add(None, logits[part], truths[part])
    drawing.add(None, logits[:5], torch.full((5,), -100))  # do not count
    reliability, counts, threshold, roc, recall = drawing.figures()
    y, scores = truths.numpy(), (logits / 2).softmax(1)[:, 1].numpy()

    assert isinstance(roc, Curves)
    x, rate, _ = metrics.roc_curve(y, scores, drop_intermediate=False)
    assert np.array(roc.series[0][1]) == pytest.approx(np.stack([x, rate], 1), abs=1e-6)
    assert f"AUC {metrics.roc_auc_score(y, scores):.4f}" in roc.caption
    found = ranked(torch.from_numpy(scores), truths == 1)
    assert found.auc() == pytest.approx(metrics.roc_auc_score(y, scores), abs=1e-6)

    assert isinstance(recall, Curves)
    precision, share, _ = metrics.precision_recall_curve(y, scores)
    assert np.array(recall.series[0][1]) == pytest.approx(np.stack([share, precision], 1)[::-1], abs=1e-6)
    assert found.average_precision() == pytest.approx(metrics.average_precision_score(y, scores), abs=1e-6)
    assert f"average precision {metrics.average_precision_score(y, scores):.4f}" in recall.caption

    assert isinstance(threshold, Curves)
    for name, points in threshold.series:
        for at, value in points:
            guess = scores >= at
            kind = {"precision": "precision", "recall": "recall", "F1": "f1"}.get(name)
            theirs = getattr(metrics, f"{kind}_score")(y, guess) if kind else guess.mean()
            assert value == pytest.approx(theirs, abs=1e-6), (name, at)

    assert isinstance(reliability, Curves)
    assert [name for name, _ in reliability.series] == ["model", "calibrated"]
    before, after = (metrics.brier_score_loss(y, (logits / t).softmax(1)[:, 1].numpy()) for t in (1, 2))
    assert f"Brier {before:.4f}" in reliability.caption
    assert f"Brier {after:.4f}" in reliability.caption
    assert isinstance(counts, Table)
    assert sum(row[1] for row in counts.rows) == sum(row[3] for row in counts.rows) == 83


def test_reliability_of_three_rows() -> None:
    """Confidences 0.9, 0.9 and 0.5, of which one of the first two is right, and the third."""
    drawing = class_drawing(3)
    p = torch.tensor([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.2, 0.3, 0.5]])
    drawing.add(None, p.log(), torch.tensor([0, 2, 2]))
    reliability, counts = drawing.figures()
    assert isinstance(reliability, Curves)
    ((_, points),) = reliability.series
    assert points == [pytest.approx((0.5, 1.0)), pytest.approx((0.9, 0.5))]
    assert "ECE 0.4333" in reliability.caption  # (0.5 + 2 · 0.4) / 3
    assert reliability.diagonal
    assert isinstance(counts, Table)
    assert counts.rows == [["0.47 to 0.53", 1, 1.0], ["0.87 to 0.93", 2, 0.5]]
    assert class_drawing(3).figures() == []


def test_curves_of_many_rows_have_few_points() -> None:
    found = ranked(torch.randn(5000, generator=CHANCE), torch.rand(5000, generator=CHANCE) < 0.5)
    assert len(found.hits) == 5001
    assert found.hits[-1] + found.false[-1] == 5000
    drawing = LabelDrawing([str(label) for label in range(30)], source(5000))
    drawing.add(None, torch.randn(5000, 30, generator=CHANCE), torch.rand(5000, 30, generator=CHANCE).round())
    _, roc, *_ = drawing.figures()
    assert isinstance(roc, Curves)
    assert len(roc.series) == 8
    assert all(len(points) == MOST_POINTS for _, points in roc.series)
    assert all((points[0], points[-1]) == ((0.0, 0.0), (1.0, 1.0)) for _, points in roc.series)
    alone = LabelDrawing(["never"], source(4))
    alone.add(None, torch.randn(4, 1, generator=CHANCE), torch.zeros(4, 1))
    assert not any(isinstance(figure, Curves) for figure in alone.figures())  # no curve without both


@pytest.mark.parametrize("axis", [1, 2])
def test_tokens_loss_by_position(axis: int) -> None:
    sums, counts = np.zeros(7), np.zeros(7)
    drawing = TokenDrawing(["x", "y", "z"], -100, axis, source(8))
    for length in (5, 7):
        logits = torch.randn(4, length, 3, generator=CHANCE)
        y = torch.randint(0, 3, (4, length), generator=CHANCE)
        y[:, 4:] = -100
        y[0, 5:] = 1
        y[1, 0] = -100
        losses = -logits.log_softmax(-1).numpy()
        for row in range(4):
            for place in range(length):
                if (label := int(y[row, place])) >= 0:
                    sums[place] += losses[row, place, label]
                    counts[place] += 1
        drawing.add(None, logits.movedim(-1, axis), y)
    curve, first, worst = drawing.figures()
    assert isinstance(curve, Curves)
    expected = [(place, sums[place] / counts[place]) for place in range(7) if counts[place]]
    assert np.allclose(curve.series[0][1], expected)
    assert isinstance(first, Texts)
    assert isinstance(worst, Texts)
    label, (truths, guesses), marked = worst.rows[-1]
    row = int(label.split(",")[0].removeprefix("row ")) // 10
    assert 0 <= row < 8
    assert marked == [place for place, truth in enumerate(truths) if truth != "·" and truth != guesses[place]]
    assert first.rows[1][1][0][0] == "·"
    assert len(first.rows[1][1][0]) == 4  # padding at the end is left out


def masks() -> tuple[Tensor, Tensor, Tensor]:
    y = torch.randint(0, 3, (20, 6, 9), generator=CHANCE)
    logits = torch.randn(20, 3, 6, 9, generator=CHANCE) + 4 * torch.nn.functional.one_hot(y, 3).movedim(-1, 1)
    logits[13] = -logits[13]
    y[:, 0] = -100
    return torch.rand(20, 3, 6, 9, generator=CHANCE), logits, y


@pytest.mark.optional
def test_pixels_iou_and_pictures() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    x, logits, y = masks()
    drawing = PixelDrawing(["ground", "cat", "dog", "never"], -100, 1, source(20))
    for part in (slice(0, 11), slice(11, 20)):
        drawing.add({"image": x[part], "more": torch.zeros(9)}, logits[part], y[part])
    first, worst, table = drawing.figures()
    counted = y >= 0
    ious = metrics.jaccard_score(y[counted].numpy(), logits.argmax(1)[counted].numpy(), average=None)
    assert isinstance(table, Table)
    assert [row[-1] for row in table.rows] == pytest.approx(sorted(ious))
    assert isinstance(first, Pictures)
    assert isinstance(worst, Pictures)
    assert worst.rows[0][0].startswith("row 130, ")
    assert list(first.names) == ["input", "truth", "prediction"]
    assert [name for name, _ in first.key] == ["ground", "cat", "dog", "ignored"]
    shown = torch.frombuffer(bytearray(first.rows[2][1][1].pixels), dtype=torch.uint8).reshape(6, 9, 3)
    assert tuple(shown[3, 4].tolist()) == colour(int(y[2, 3, 4]))
    assert shown[0].unique().tolist() == [128]
    guessed = torch.frombuffer(bytearray(first.rows[2][1][2].pixels), dtype=torch.uint8).reshape(6, 9, 3)
    assert tuple(guessed[3, 4].tolist()) == colour(int(logits[2, :, 3, 4].argmax()))


def test_inputs_beside_their_reconstructions_in_the_datas_units() -> None:
    data = torch.rand(30, 1, 8, 8, generator=CHANCE) * 16
    scale = Standardize(data.mean(0).double(), data.std(0).double(), torch.float32)
    x = scale(data)
    drawing = InputDrawing((1, 8, 8), Source(torch.arange(30), scale.inverse))
    guess = x.flatten(1).clone()
    guess[21] += 5
    for part in (slice(0, 20), slice(20, 30)):
        drawing.add(x[part], guess[part], x[part].flatten(1))
    first, worst = drawing.figures()
    assert isinstance(first, Pictures)
    assert isinstance(worst, Pictures)
    assert len(first.rows) == 8
    assert all(before.pixels == after.pixels for _, (before, after) in first.rows)
    assert worst.rows[0][0] == "row 21, 25"
    shown = np.frombuffer(first.rows[0][1][0].pixels, np.uint8).reshape(8, 8)
    low, high = data[:8].min(), data[:8].max()
    assert np.array_equal(shown, ((data[0, 0] - low) / (high - low) * 255).round().numpy().astype(np.uint8))


def test_large_inputs_become_small_figures() -> None:
    drawing = InputDrawing((3, 300, 100), source(2))
    x = torch.rand(2, 3, 300, 100, generator=CHANCE)
    drawing.add(x, x, x)
    (pictures,) = drawing.figures()
    assert isinstance(pictures, Pictures)
    assert {(picture.height, picture.width) for _, both in pictures.rows for picture in both} == {(MOST_SIDE, 21)}
    drawing = InputDrawing((1, 1001), source(9))
    x = torch.rand(9, 1, 1001, generator=CHANCE)
    drawing.add(x, x + 1, x)
    curves = drawing.figures()
    assert len(curves) == 8
    for curve in curves:
        assert isinstance(curve, Curves)
        assert all(len(points) <= MOST_POINTS for _, points in curve.series)
    drawing.add(x, (x, x), x)  # a model that gives several tensors: nothing is shown of them
    assert len(drawing.figures()) == 8
