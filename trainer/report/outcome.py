"""The model's predictions over a split: a confusion matrix or pairs, and the rows that it got most wrong."""

import heapq
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from trainer.data.windows import EvalBatches
from trainer.loop import predict
from trainer.report.findings import MOST_SIDE, Mistake, Outcome, Picture
from trainer.signals import abandonable
from trainer.state import TrainState

MOST_PAIRS = 2000  # pairs kept for the parity plot
MOST_MISTAKES = 16
MOST_VALUES = 12  # inputs of a row that are kept

Wrong = tuple[float, int, float, float]  # score, row, truth, guess


def measure(run: TrainState, batches: EvalBatches, split: str) -> Outcome:
    """The outcome over a split with the weights as they are."""
    classes = run.facts.classes
    return _of_numbers(run, batches, split) if classes is None else _of_classes(run, batches, split, classes)


def _of_classes(run: TrainState, batches: EvalBatches, split: str, classes: list[str]) -> Outcome:
    matrix = torch.zeros(len(classes) ** 2, dtype=torch.int64)
    wrong: list[Wrong] = []
    first = 0
    for prediction, y in predict(run, batches):
        labels = (y.argmax(1) if y.is_floating_point() else y).cpu().reshape(-1)
        guesses = prediction.argmax(1).cpu().reshape(-1)
        cell = labels * len(classes) + guesses
        matrix += torch.bincount(cell[labels >= 0], minlength=len(classes) ** 2)
        if len(guesses) == len(prediction):  # one label a row
            chances = prediction.softmax(1).amax(1).cpu()
            chances = torch.where((guesses != labels) & (labels >= 0), chances, -1.0)
            wrong = _worst(wrong, chances, labels, guesses, first)
        first += len(prediction)
    cells = {divmod(int(cell), len(classes)): int(matrix[cell]) for cell in matrix.nonzero().flatten().tolist()}
    return Outcome(split, classes, cells, (), _mistakes(batches, wrong))


def _of_numbers(run: TrainState, batches: EvalBatches, split: str) -> Outcome:
    pairs: list[tuple[float, float]] = []
    wrong: list[Wrong] = []
    first = 0
    for prediction, y in predict(run, batches):
        if run.scale_y is not None:
            prediction, y = run.scale_y.inverse(prediction), run.scale_y.inverse(y)
        truths, guesses = y.cpu().flatten(), prediction.cpu().flatten()
        pairs += list(zip(truths.tolist(), guesses.tolist(), strict=True))[: MOST_PAIRS - len(pairs)]
        errors = (guesses - truths).abs().nan_to_num(0.0)
        wrong = _worst(wrong, errors, truths, guesses, first, len(truths) // max(1, len(y)))
        first += len(y)
    return Outcome(split, None, {}, pairs, _mistakes(batches, wrong))


def _worst(
    known: Sequence[Wrong], scores: Tensor, truths: Tensor, guesses: Tensor, first: int, outputs: int = 1
) -> list[Wrong]:
    """The rows with the highest scores above 0, of those known and of a batch that begins with row `first`."""
    top = scores.topk(min(MOST_MISTAKES, len(scores))).indices
    columns = (scores[top], first + top // outputs, truths[top], guesses[top])
    found = [row for row in zip(*(column.tolist() for column in columns), strict=True) if row[0] > 0]
    return heapq.nlargest(MOST_MISTAKES, [*known, *found])


def _mistakes(batches: EvalBatches, wrong: Sequence[Wrong]) -> list[Mistake]:
    """With the inputs of these rows, as pictures or as values in the data's units, where the loader can turn them back
    into those."""
    inverse = getattr(getattr(batches.loader, "scale_x", None), "inverse", None)
    if not wrong or inverse is None:
        return [Mistake(row, truth, guess, score) for score, row, truth, guess in wrong]
    parts = batches.loader.parts([torch.tensor([row for _, row, _, _ in wrong])], 0)
    with abandonable:
        x, _ = batches.loader.load(next(iter(parts)))
    x = inverse(x).float().cpu()
    shown = _pictures(x) if x.ndim == 4 and x.shape[1] in (1, 3) else [None] * len(x)
    few = x.ndim == 2 and x.shape[1] <= MOST_VALUES
    return [
        Mistake(row, truth, guess, score, picture, values.tolist() if few else [])
        for (score, row, truth, guess), picture, values in zip(wrong, shown, x, strict=True)
    ]


def _pictures(x: Tensor) -> list[Picture]:
    """x (N, C, H, W) as bytes from its darkest to its brightest value, no side longer than MOST_SIDE."""
    longest = max(x.shape[2:])
    if longest > MOST_SIDE:
        size = [max(1, side * MOST_SIDE // longest) for side in x.shape[2:]]
        x = functional.interpolate(x, size=size, mode="area")
    low, high = x.min(), x.max()
    pixels = ((x - low) / (high - low).clamp_min(1e-12) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    _, height, width, channels = pixels.shape
    return [Picture(height, width, channels, picture.numpy().tobytes()) for picture in pixels]
