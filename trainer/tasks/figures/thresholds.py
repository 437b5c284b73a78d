"""What every threshold on a score gives: ROC, precision and recall, and the areas under them."""

from dataclasses import dataclass

import torch
from torch import Tensor

from trainer.disk.figures import MOST_POINTS


@dataclass(frozen=True)
class Thresholds:
    """Counts for each threshold from the highest score down, from none on, float64; equal scores are one threshold.
    scores: the thresholds after the first; hits, false alarms: of the rows at or above each; both 0 first."""

    scores: Tensor
    hits: Tensor
    false: Tensor

    @property
    def both(self) -> bool:
        """Whether some rows are positive and some negative: otherwise there are no curves."""
        return bool(self.hits[-1] > 0) and bool(self.false[-1] > 0)

    def roc(self) -> tuple[Tensor, Tensor]:
        """(False positive rate, true positive rate)."""
        return self.false / self.false[-1], self.hits / self.hits[-1]

    def recall(self) -> tuple[Tensor, Tensor]:
        """(Recall, precision), from recall 0, where precision is 1 as in scikit-learn."""
        precision = self.hits / (self.hits + self.false)
        return self.hits / self.hits[-1], precision.where(self.hits + self.false > 0, 1.0)

    def auc(self) -> float:
        """The area under the ROC curve."""
        return float(torch.trapezoid(*reversed(self.roc())))

    def average_precision(self) -> float:
        """The mean of the precisions, each by the recall that it adds."""
        recall, precision = self.recall()
        return float((recall.diff() * precision[1:]).sum())

    def at(self, thresholds: Tensor) -> tuple[Tensor, Tensor]:
        """(Hits, false alarms) of the rows at or above other thresholds."""
        place = len(self.scores) - torch.searchsorted(self.scores.flip(0), thresholds)
        return self.hits[place], self.false[place]


def ranked(scores: Tensor, truths: Tensor) -> Thresholds:
    """The thresholds of rows. scores: (N,), N > 0; truths: (N,) bool."""
    order = scores.argsort(descending=True, stable=True)
    scores, truths = scores[order], truths[order].double()
    last = torch.cat([scores[1:] != scores[:-1], torch.ones(1, dtype=torch.bool)])
    hits, all_rows = truths.cumsum(0)[last], torch.arange(1, len(scores) + 1).double()[last]
    zero = torch.zeros(1, dtype=torch.float64)
    return Thresholds(scores[last], torch.cat([zero, hits]), torch.cat([zero, all_rows - hits]))


def points(x: Tensor, y: Tensor) -> list[tuple[float, float]]:
    """At most MOST_POINTS points, the first and last among them."""
    places = torch.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).round().long()
    return list(zip(x[places].tolist(), y[places].tolist(), strict=True))
