"""Several labels a row: right and wrong answers of each, and how well its probability tells the two apart."""

import torch
from torch import Tensor
from torch.nn import functional

from trainer.data.tree import Tree
from trainer.disk.figures import MOST_LINES, MOST_SERIES, Curves, Figure, Matrices, Series, Table
from trainer.tasks.figures import thresholds
from trainer.tasks.figures.chosen import Chosen, Shown
from trainer.tasks.figures.drawing import Source
from trainer.tasks.figures.thresholds import points

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
            found = thresholds.ranked(scores[:, label], truths[:, label])
            if found.both:
                roc.append((self.names[label], points(*found.roc())))
                recall.append((self.names[label], points(*found.recall())))
        if not roc:
            return []
        names = ("false positive rate", "true positive rate")
        return [
            Curves("ROC curve", which, *names, roc, diagonal=True),
            Curves("Precision and recall", which, "recall", "precision", recall),
        ]
