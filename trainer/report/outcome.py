"""Predictions over a split, as numbers: a confusion matrix for classes, pairs for numbers."""

from dataclasses import dataclass

import torch

from trainer.data.windows import EvalBatches
from trainer.loop import predict
from trainer.state import TrainState

MOST_PAIRS = 2000  # pairs kept for the parity plot


@dataclass(frozen=True)
class Outcome:
    """matrix[truth][prediction] counts for classes; pairs (truth, prediction) in the data's units for numbers."""

    split: str
    classes: list[str] | None
    matrix: list[list[int]]
    pairs: list[tuple[float, float]]

    def weakest(self) -> tuple[str, float, str, int] | None:
        """(class, its F1, the class it is most taken for, how often) for the class with the lowest F1, if any errs."""
        if self.classes is None:
            return None
        scores = []
        for index in range(len(self.classes)):
            hit = self.matrix[index][index]
            wrong = sum(self.matrix[index]) + sum(row[index] for row in self.matrix) - 2 * hit
            if wrong:
                scores.append((2 * hit / (2 * hit + wrong), index))
        if not scores:
            return None
        score, index = min(scores)
        others = [(count, other) for other, count in enumerate(self.matrix[index]) if other != index]
        count, other = max(others, key=lambda pair: (pair[0], -pair[1]))
        return self.classes[index], score, self.classes[other], count


def measure(run: TrainState, batches: EvalBatches, split: str) -> Outcome:
    """The outcome over a split with the weights as they are."""
    classes = run.facts.classes
    if classes is not None:
        matrix = torch.zeros(len(classes) ** 2, dtype=torch.int64)
        for prediction, y in predict(run, batches):
            labels = (y.argmax(1) if y.is_floating_point() else y).cpu().reshape(-1)
            cell = labels * len(classes) + prediction.argmax(1).cpu().reshape(-1)
            matrix += torch.bincount(cell[labels >= 0], minlength=len(classes) ** 2)
        return Outcome(split, classes, matrix.reshape(len(classes), -1).tolist(), [])
    pairs: list[tuple[float, float]] = []
    for prediction, y in predict(run, batches):
        if run.scale_y is not None:
            prediction, y = run.scale_y.inverse(prediction), run.scale_y.inverse(y)
        truths, guesses = y.flatten().tolist(), prediction.flatten().tolist()
        pairs += list(zip(truths, guesses, strict=True))[: MOST_PAIRS - len(pairs)]
    return Outcome(split, None, [], pairs)
