"""A model's predictions over a split: the confusion matrix, or pairs of truth and guess, the worst mistakes, and the
task's own figures."""

import dataclasses
import heapq
import math
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.data import tree
from trainer.data.batches import EvalBatches
from trainer.data.meaning import INDEXED
from trainer.data.parts import Part
from trainer.data.preprocessing import Preprocessing
from trainer.data.tabular.column import Column
from trainer.data.tree import Tree
from trainer.disk.outcome import Mistake, Predictions
from trainer.loop import predict
from trainer.processes.signals import abandonable
from trainer.state import TrainState
from trainer.tasks.figures.drawing import Source
from trainer.tasks.figures.pictures import of_floats

MOST_PAIRS = 2000  # pairs kept for the parity plot
MOST_MISTAKES = 16
MOST_VALUES = 12  # inputs of a row that are kept
MOST_CONFUSIONS = 200_000  # different pairs of truth and guess
UNITS = {"classes": "row", "tokens": "position", "pixels": "pixel"}

Wrong = tuple[float, int, float, float]  # score, row, truth, guess


def measure(
    run: TrainState, preprocessing: Preprocessing, batches: EvalBatches, part: Part[Any], split: str
) -> Predictions | None:
    """The predictions over a split with the current weights; None for a task that shows none. preprocessing, part: of
    the split's rows; split: its name, for people."""
    drawing = run.task.drawing(Source(part.rows, preprocessing.x.inverse, run.fit.shift))
    collected = _Classes(run) if run.task.name in INDEXED else _Numbers(run) if run.task.name == "numbers" else None
    if drawing is None and collected is None:
        return None
    for x, output, y, _ in predict(run, batches):
        prediction, y = run.fit(output), run.fit.target(y)
        if collected is not None:
            collected.add(prediction, y)
        if drawing is not None:
            drawing.add(x, prediction, y)
    figures = drawing.figures() if drawing is not None else []
    if collected is None:
        return Predictions(split, figures=figures)
    table = preprocessing.table
    names = [column.name for column in table.columns] if table is not None else getattr(part.data, "columns", ())
    mistakes = [_named(mistake, part) for mistake in _mistakes(preprocessing, batches, collected.wrong)]
    predictions = collected.predictions(split)
    return dataclasses.replace(predictions, mistakes=mistakes, inputs=tuple(names[:MOST_VALUES]), figures=figures)


def _named(mistake: Mistake, part: Part[Any]) -> Mistake:
    """A mistake whose row is its number in the data, instead of its place in the split; pictures with their file."""
    row = int(part.rows[mistake.row])
    files = getattr(part.data, "picture_files", ())
    file = os.path.basename(files[row]) if files else ""
    return dataclasses.replace(mistake, row=row, file=file)


class _Classes:
    """How often each class is taken for each, and, of classes of rows, the most confident mistakes."""

    def __init__(self, run: TrainState) -> None:
        self.facts, self.axis, self.num_rows = run.facts, run.fit.class_axis, 0
        self.classes = run.facts.classes or []
        self.cells, self.wrong = Counter[int](), list[Wrong]()

    def add(self, prediction: Tensor, y: Tensor) -> None:
        prediction = prediction.movedim(self.axis, 1)
        labels = y.cpu().reshape(-1)
        guesses = prediction.argmax(1).cpu().reshape(-1)
        counted = (labels >= 0) & (labels != self.facts.ignored)
        found, counts = (labels * len(self.classes) + guesses)[counted].unique(return_counts=True)
        self.cells.update(dict(zip(found.tolist(), counts.tolist(), strict=True)))
        if self.facts.task == "classes":
            probabilities = prediction.softmax(1).amax(1).cpu()
            scores = torch.where((guesses != labels) & counted, probabilities, -1.0)
            self.wrong = _worst(self.wrong, scores, labels, guesses, self.num_rows)
        self.num_rows += len(prediction)

    def predictions(self, split: str) -> Predictions:
        """Without the mistakes; of very many different confusions, none."""
        few = self.cells if len(self.cells) <= MOST_CONFUSIONS else {}
        cells = {divmod(cell, len(self.classes)): count for cell, count in sorted(few.items())}
        return Predictions(split, self.classes, cells, unit=UNITS[self.facts.task])


class _Numbers:
    """Pairs of truth and guess, and the rows with the largest errors."""

    def __init__(self, run: TrainState) -> None:
        self.scale, self.num_rows = run.scale_y, 0
        self.pairs, self.wrong = list[tuple[float, float]](), list[Wrong]()

    def add(self, prediction: Tree, y: Tensor) -> None:
        """Leaves out predictions that are not a number for each target, such as quantiles."""
        if not isinstance(prediction, Tensor) or prediction.numel() != y.numel():
            return
        if self.scale is not None:
            prediction, y = self.scale.predicted(prediction), self.scale.inverse(y)
        truths, guesses = y.cpu().flatten(), prediction.cpu().flatten()
        self.pairs += list(zip(truths.tolist(), guesses.tolist(), strict=True))[: MOST_PAIRS - len(self.pairs)]
        errors = (guesses - truths).abs().nan_to_num(0.0)
        self.wrong = _worst(self.wrong, errors, truths, guesses, self.num_rows, len(truths) // max(1, len(y)))
        self.num_rows += len(y)

    def predictions(self, split: str) -> Predictions:
        return Predictions(split, pairs=self.pairs)


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
    raw = preprocessing.x.inverse(x)
    is_plain = isinstance(raw, Tensor)
    shown = next((leaf for leaf in tree.leaves(raw) if leaf.ndim == 4 and leaf.shape[1] in (1, 3)), None)
    pictures = of_floats(shown.cpu()) if shown is not None else [None] * len(wrong)
    columns: Sequence[Column | None] = [None] * (
        raw.shape[1] if is_plain and raw.ndim == 2 and raw.shape[1] <= MOST_VALUES else 0
    )
    if preprocessing.table is not None:
        columns = preprocessing.table.columns[:MOST_VALUES]
    rows = raw.cpu().flatten(1).tolist() if is_plain and columns else [[]] * len(wrong)
    return [
        Mistake(row, truth, guess, score, picture, [_text(value, c) for value, c in zip(values, columns, strict=False)])
        for (score, row, truth, guess), picture, values in zip(wrong, pictures, rows, strict=True)
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
