"""Several labels a row: right and wrong answers of each, and how well its probability tells the two apart."""

import torch
from torch import Tensor
from torch.nn import functional

from trainer.data.tree import Tree
from trainer.disk.figures import MOST_LINES, MOST_POINTS, MOST_SERIES, Curves, Figure, Matrices, Series, Table
from trainer.tasks.figures.chosen import Chosen, Shown
from trainer.tasks.figures.drawing import Source

MOST_SCORES = 4_000_000  # values kept for the curves; of later rows only the counts
FEW = 8  # rows shown


class LabelDrawing:
    """names: of the labels."""

    def __init__(self, names: list[str], source: Source) -> None:
        self.names, self.chosen = names, Chosen(source.rows, FEW)
        self.counts = torch.zeros(len(names), 2, 2, dtype=torch.int64)  # of each label: truth, guess
        self.scores, self.truths = list[Tensor](), list[Tensor]()
        self.num_rows = self.num_kept = 0

    def add(self, x: Tree, prediction: Tensor, y: Tensor) -> None:
        """prediction: logits (B, C); y: 0 or 1 (B, C)."""
        logits, truths = prediction.float().cpu(), (y > 0.5).cpu()
        guesses = logits > 0
        for truth in (False, True):
            for guess in (False, True):
                self.counts[:, int(truth), int(guess)] += ((truths == truth) & (guesses == guess)).sum(0)
        if self.num_kept * len(self.names) < MOST_SCORES:
            self.scores.append(logits)
            self.truths.append(truths)
            self.num_kept += len(logits)
        losses = functional.binary_cross_entropy_with_logits(logits, truths.float(), reduction="none").mean(1)
        wrong = (truths != guesses).any(1)
        self.chosen.add(torch.where(wrong, losses, 0.0), lambda place: (truths[place], guesses[place]))
        self.num_rows += len(logits)

    def figures(self) -> list[Figure]:
        """A small matrix of each label, its curves, a table of all labels, and the rows with the largest loss."""
        if not self.num_kept:
            return []
        order = sorted(range(len(self.names)), key=lambda label: self._score(label)[-1])
        which = "" if len(order) <= MOST_SERIES else f"the {MOST_SERIES} of {len(order)} labels with the lowest F1"
        drawn = sorted(order[:MOST_SERIES])
        matrices = [(self.names[label], self.counts[label].tolist()) for label in drawn]
        caption = "rows: truth, columns: prediction" + f"; {which}" * bool(which)
        found: list[Figure] = [Matrices("Each label", caption, ("no", "yes"), matrices)]
        found += self._curves(drawn, which)
        lines = [(self.names[label], *self._score(label)) for label in order[:MOST_LINES]]
        columns = ("label", "rows with it", "precision", "recall", "F1")
        found.append(Table("Labels", "the lowest F1 first", columns, lines))
        if worst := [shown for shown in self.chosen.worst if shown.score > 0]:
            rows = [self._line(shown) for shown in worst]
            caption = "the largest loss first; row: its number in the data, from 0"
            found.append(Table("Rows most wrong", caption, ("row", "truth", "prediction", "loss"), rows))
        return found

    def _score(self, label: int) -> tuple[int, float, float, float]:
        """(rows with it, precision, recall, F1)."""
        (_, false), (missed, hits) = self.counts[label].tolist()
        both = 2 * hits + false + missed
        return hits + missed, hits / ((hits + false) or 1), hits / ((hits + missed) or 1), 2 * hits / (both or 1)

    def _line(self, shown: Shown) -> tuple[str, str, str, float]:
        truths, guesses = (
            ", ".join(name for name, there in zip(self.names, part.tolist(), strict=True) if there) or "none"
            for part in shown.content
        )
        return str(shown.row), truths, guesses, shown.score

    def _curves(self, drawn: list[int], which: str) -> list[Figure]:
        scores, truths = torch.cat(self.scores), torch.cat(self.truths)
        if self.num_kept < self.num_rows:
            which = f"{which}; of the first {self.num_kept:,} rows".removeprefix("; ")
        roc, recall = list[Series](), list[Series]()
        for label in drawn:
            hits, false = ranked(scores[:, label], truths[:, label])
            if hits[-1] > 0 and false[-1] > 0:
                rate, share = hits / hits[-1], hits / (hits + false).clamp_min(1)
                roc.append((self.names[label], _points(false / false[-1], rate)))
                recall.append((self.names[label], _points(rate[1:], share[1:])))
        if not roc:
            return []
        names = ("false positive rate", "true positive rate")
        return [
            Curves("ROC curve", which, *names, roc, diagonal=True),
            Curves("Precision and recall", which, "recall", "precision", recall),
        ]


def ranked(scores: Tensor, truths: Tensor) -> tuple[Tensor, Tensor]:
    """(hits, false alarms) for each threshold from the highest score down, from none on, float64; equal scores are one
    threshold. scores, truths: (N,)."""
    order = scores.argsort(descending=True, stable=True)
    scores, truths = scores[order], truths[order].double()
    last = torch.cat([scores[1:] != scores[:-1], torch.ones(1, dtype=torch.bool)])
    hits, all_rows = truths.cumsum(0)[last], torch.arange(1, len(scores) + 1).double()[last]
    zero = torch.zeros(1, dtype=torch.float64)
    return torch.cat([zero, hits]), torch.cat([zero, all_rows - hits])


def _points(x: Tensor, y: Tensor) -> list[tuple[float, float]]:
    """At most MOST_POINTS points, the first and last among them."""
    places = torch.linspace(0, len(x) - 1, min(len(x), MOST_POINTS)).round().long()
    return list(zip(x[places].tolist(), y[places].tolist(), strict=True))
