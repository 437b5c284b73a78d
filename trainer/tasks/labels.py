"""Several labels a row, each 0 or 1: macro F1, and the share of rows with all labels right."""

from collections.abc import Mapping

import torch
from torch import Tensor

from trainer.tasks.totals import Totals


class LabelTotals(Totals):
    """The truths, answers and hits of each label. A label is answered where its logit is above 0."""

    def add(self, prediction: Tensor, y: Tensor) -> None:
        """prediction: logits (B, C); y: 0 or 1 (B, C)."""
        truths, guesses = y > 0.5, prediction > 0
        self._add("truths", truths.sum(0))
        self._add("guesses", guesses.sum(0))
        self._add("hits", (truths & guesses).sum(0))
        self._add("exact", (truths == guesses).all(1).sum())
        self._add("count", torch.tensor(len(y), device=y.device))

    def values(self, sums: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        both = sums["truths"] + sums["guesses"]
        f1 = 2 * sums["hits"] / both
        return {"f1": f1[both > 0].mean(), "subset_acc": sums["exact"] / sums["count"]}
