"""A model's predictions over a split: the confusion matrix, or pairs of truth and guess, and the worst mistakes."""

import dataclasses
import heapq
import math
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from trainer.data.batches import EvalBatches
from trainer.data.images import Images
from trainer.data.parts import Part
from trainer.data.preprocessing import Preprocessing
from trainer.data.tabular.column import Column
from trainer.disk.outcome import MOST_SIDE, Mistake, Picture, Predictions
from trainer.loop import predict
from trainer.processes.signals import abandonable
from trainer.state import TrainState

MOST_PAIRS = 2000  # pairs kept for the parity plot
MOST_MISTAKES = 16
MOST_VALUES = 12  # inputs of a row that are kept

Wrong = tuple[float, int, float, float]  # score, row, truth, guess


def measure(
    run: TrainState, preprocessing: Preprocessing, batches: EvalBatches, part: Part[Any], split: str
) -> Predictions:
    """The predictions over a split with the current weights. preprocessing, part: of the split's rows; split: its name,
    for people."""
    predictions, wrong = (_of_numbers if run.facts.classes is None else _of_classes)(run, batches, split)
    table = preprocessing.table
    names = [column.name for column in table.columns] if table is not None else getattr(part.data, "columns", ())
    mistakes = [_named(mistake, part) for mistake in _mistakes(preprocessing, batches, wrong)]
    return dataclasses.replace(predictions, mistakes=mistakes, inputs=tuple(names[:MOST_VALUES]))


def _named(mistake: Mistake, part: Part[Any]) -> Mistake:
    """A mistake whose row is its number in the data, instead of its place in the split; pictures with their file."""
    row = int(part.rows[mistake.row])
    file = os.path.basename(part.data.paths[row]) if isinstance(part.data, Images) else ""
    return dataclasses.replace(mistake, row=row, file=file)


def _of_classes(run: TrainState, batches: EvalBatches, split: str) -> tuple[Predictions, Sequence[Wrong]]:
    classes = run.facts.classes or []
    matrix = torch.zeros(len(classes) ** 2, dtype=torch.int64)
    wrong: list[Wrong] = []
    first = 0
    for prediction, y in predict(run, batches):
        labels = (y.argmax(1) if y.is_floating_point() else y).cpu().reshape(-1)
        guesses = prediction.argmax(1).cpu().reshape(-1)
        counted = (labels >= 0) & (labels != run.facts.ignored)
        cell = labels * len(classes) + guesses
        matrix += torch.bincount(cell[counted], minlength=len(classes) ** 2)
        if len(guesses) == len(prediction):  # one label a row
            probabilities = prediction.softmax(1).amax(1).cpu()
            scores = torch.where((guesses != labels) & counted, probabilities, -1.0)
            wrong = _worst(wrong, scores, labels, guesses, first)
        first += len(prediction)
    cells = {divmod(int(cell), len(classes)): int(matrix[cell]) for cell in matrix.nonzero().flatten().tolist()}
    return Predictions(split, classes, cells), wrong


def _of_numbers(run: TrainState, batches: EvalBatches, split: str) -> tuple[Predictions, Sequence[Wrong]]:
    pairs: list[tuple[float, float]] = []
    wrong: list[Wrong] = []
    first = 0
    for prediction, y in predict(run, batches):
        if run.scale_y is not None:
            prediction, y = run.scale_y.predicted(prediction), run.scale_y.inverse(y)
        truths, guesses = y.cpu().flatten(), prediction.cpu().flatten()
        pairs += list(zip(truths.tolist(), guesses.tolist(), strict=True))[: MOST_PAIRS - len(pairs)]
        errors = (guesses - truths).abs().nan_to_num(0.0)
        wrong = _worst(wrong, errors, truths, guesses, first, len(truths) // max(1, len(y)))
        first += len(y)
    return Predictions(split, None, {}, pairs), wrong


def _worst(
    known: Sequence[Wrong], scores: Tensor, truths: Tensor, guesses: Tensor, first: int, outputs: int = 1
) -> list[Wrong]:
    """The rows with the highest scores above 0, of `known` and of a batch that begins with row `first`."""
    top = scores.topk(min(MOST_MISTAKES, len(scores))).indices
    columns = (scores[top], first + top // outputs, truths[top], guesses[top])
    rows = [row for row in zip(*(column.tolist() for column in columns), strict=True) if row[0] > 0]
    return heapq.nlargest(MOST_MISTAKES, [*known, *rows])


def _mistakes(preprocessing: Preprocessing, batches: EvalBatches, wrong: Sequence[Wrong]) -> list[Mistake]:
    """These rows with their raw inputs: as pictures, or as text if there are few."""
    if not wrong:
        return []
    fetched = batches.loader.fetch([torch.tensor([row for _, row, _, _ in wrong])], 0)
    with abandonable:
        x, _ = batches.loader.load(next(iter(fetched)))
    raw = preprocessing.x.inverse(x).cpu()
    pictures = _pictures(raw.float()) if raw.ndim == 4 and raw.shape[1] in (1, 3) else [None] * len(raw)
    columns: Sequence[Column | None] = [None] * (raw.shape[1] if raw.ndim == 2 and raw.shape[1] <= MOST_VALUES else 0)
    if preprocessing.table is not None:
        columns = preprocessing.table.columns[:MOST_VALUES]
    return [
        Mistake(row, truth, guess, score, picture, [_text(value, c) for value, c in zip(values, columns, strict=False)])
        for (score, row, truth, guess), picture, values in zip(wrong, pictures, raw.flatten(1).tolist(), strict=True)
    ]


def _text(value: float, column: Column | None) -> str:
    """A value of a row as it is in the data. Categories come as their index, dates as days since 1970."""
    if math.isnan(value):
        return "missing"
    if column is None or column.kind == "number":
        return f"{value:.4g}"
    if column.kind == "date":
        return str(np.datetime64(round(value), "D"))
    return column.levels[int(value)] if 0 <= value < len(column.levels) else "other"


def _pictures(x: Tensor) -> list[Picture]:
    """x (N, C, H, W) as bytes, scaled from its darkest to its brightest value, with sides of at most MOST_SIDE."""
    longest = max(x.shape[2:])
    if longest > MOST_SIDE:
        size = [max(1, side * MOST_SIDE // longest) for side in x.shape[2:]]
        x = functional.interpolate(x, size=size, mode="area")
    low, high = x.min(), x.max()
    pixels = ((x - low) / (high - low).clamp_min(1e-12) * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    _, height, width, channels = pixels.shape
    return [Picture(height, width, channels, picture.numpy().tobytes()) for picture in pixels]
