"""The model's predictions over a split: a confusion matrix or pairs, and the rows that it got most wrong."""

import dataclasses
import heapq
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trainer.data.preprocessing import Preprocessing
from trainer.data.tabular.column import Column
from trainer.data.windows import EvalBatches
from trainer.disk.outcome import MOST_SIDE, Mistake, Outcome, Picture
from trainer.loop import predict
from trainer.processes.signals import abandonable
from trainer.state import TrainState

MOST_PAIRS = 2000  # pairs kept for the parity plot
MOST_MISTAKES = 16
MOST_VALUES = 12  # inputs of a row that are kept

Wrong = tuple[float, int, float, float]  # score, row, truth, guess


def measure(run: TrainState, made: Preprocessing, batches: EvalBatches, split: str) -> Outcome:
    """The outcome over a split with the weights as they are. made: what turned its rows into the model's inputs."""
    classes = run.facts.classes
    found, wrong = _of_numbers(run, batches, split) if classes is None else _of_classes(run, batches, split, classes)
    columns = made.table.columns[:MOST_VALUES] if made.table is not None else []
    names = tuple(column.name for column in columns)
    return dataclasses.replace(found, mistakes=_mistakes(made, batches, wrong), inputs=names)


def _of_classes(
    run: TrainState, batches: EvalBatches, split: str, classes: list[str]
) -> tuple[Outcome, Sequence[Wrong]]:
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
    return Outcome(split, classes, cells), wrong


def _of_numbers(run: TrainState, batches: EvalBatches, split: str) -> tuple[Outcome, Sequence[Wrong]]:
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
    return Outcome(split, None, {}, pairs), wrong


def _worst(
    known: Sequence[Wrong], scores: Tensor, truths: Tensor, guesses: Tensor, first: int, outputs: int = 1
) -> list[Wrong]:
    """The rows with the highest scores above 0, of those known and of a batch that begins with row `first`."""
    top = scores.topk(min(MOST_MISTAKES, len(scores))).indices
    columns = (scores[top], first + top // outputs, truths[top], guesses[top])
    found = [row for row in zip(*(column.tolist() for column in columns), strict=True) if row[0] > 0]
    return heapq.nlargest(MOST_MISTAKES, [*known, *found])


def _mistakes(made: Preprocessing, batches: EvalBatches, wrong: Sequence[Wrong]) -> list[Mistake]:
    """With the inputs of these rows as they stand in the data: as pictures, or as text where there are few."""
    if not wrong:
        return []
    fetched = batches.loader.fetch([torch.tensor([row for _, row, _, _ in wrong])], 0)
    with abandonable:
        x, _ = batches.loader.load(next(iter(fetched)))
    scale = next(made.x.buffers(), x)
    raw = made.x.inverse(x.to(scale.device)).cpu()
    shown = _pictures(raw.float()) if raw.ndim == 4 and raw.shape[1] in (1, 3) else [None] * len(raw)
    columns = made.table.columns if made.table is not None else [None] * (raw.shape[1] if raw.ndim == 2 else 0)
    few = columns[:MOST_VALUES] if made.table is not None or len(columns) <= MOST_VALUES else []
    return [
        Mistake(row, truth, guess, score, picture, [_text(value, c) for value, c in zip(values, few, strict=False)])
        for (score, row, truth, guess), picture, values in zip(wrong, shown, raw.flatten(1).tolist(), strict=True)
    ]


def _text(value: float, column: Column | None) -> str:
    """A value of a row as it stands in the data. A category is its index, a date the days since 1970."""
    if math.isnan(value):
        return "missing"
    if column is None or column.kind == "number":
        return f"{value:.4g}"
    if column.kind == "date":
        return str(np.datetime64(round(value), "D"))
    return column.levels[int(value)] if 0 <= value < len(column.levels) else "other"


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
