"""Several labels a row, each 0 or 1: macro F1, and the share of rows with all labels right."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trainer.device import widest_dtype
from trainer.stopping import METRICS
from trainer.tasks import columns
from trainer.tasks.columns import Columns
from trainer.tasks.figures.drawing import Drawing, Source
from trainer.tasks.figures.labels import LabelDrawing
from trainer.tasks.task import Ratio, Task
from trainer.tasks.totals import Totals


class Labels(Task):
    """Several labels a row, each 0 or 1."""

    name, loss, modes, monitor = "labels", "torch.nn.BCEWithLogitsLoss", METRICS["labels"], "f1"
    result = "probabilities"

    def totals(self, names: Sequence[str]) -> Totals:
        return LabelTotals(names)

    def of_rows(self, prediction: Tensor, y: Tensor) -> Mapping[str, Ratio]:
        """The share of rows with all labels right."""
        exact = ((y > 0.5) == (prediction > 0)).all(1)
        return {"subset_acc": (exact, torch.ones_like(exact))}

    def answer(self, prediction: Tensor) -> Tensor:
        """A probability for each label."""
        return prediction.sigmoid()

    def guess(self, prediction: Tensor) -> Tensor:
        """0 or 1 for each label."""
        return (prediction > 0).long()

    def columns(self, prediction: Tensor, targets: Sequence[str]) -> Columns | None:
        """0 or 1 for each label, then the probability of each."""
        probabilities = self.answer(self.calibrated(prediction))
        return columns.of_labels(self.guess(prediction), probabilities, self.facts.classes or [])

    def decisions(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor] | None:
        """One for each label of a row, between no, whose logit is 0, and yes; None for a task of your own with another
        answer."""
        if type(self).answer is not Labels.answer:
            return None
        logits = prediction.flatten()
        return torch.stack([torch.zeros_like(logits), logits], 1), (y > 0.5).long().flatten()

    def drawing(self, source: Source) -> Drawing:
        """A small matrix and the curves of each label."""
        return LabelDrawing(self.facts.classes or [], source)

    def for_metrics(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(Probabilities (N, labels), 0 or 1 (N, labels))."""
        return self.answer(prediction.to(widest_dtype(prediction.device))), (y > 0.5).long()


class LabelTotals(Totals):
    """The truths, answers and hits of each label. A label is answered where its logit is above 0."""

    def add(self, prediction: Tensor, y: Tensor) -> None:
        """prediction: logits (B, C); y: 0 or 1 (B, C)."""
        truths, guesses = y > 0.5, prediction > 0
        self.sum("truths", truths.sum(0))
        self.sum("guesses", guesses.sum(0))
        self.sum("hits", (truths & guesses).sum(0))
        self.sum("exact", (truths == guesses).all(1).sum())
        self.sum("count", torch.tensor(len(y), device=y.device))

    def values(self, sums: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        both = sums["truths"] + sums["guesses"]
        f1 = 2 * sums["hits"] / both
        return {"f1": f1[both > 0].mean(), "subset_acc": sums["exact"] / sums["count"]}
