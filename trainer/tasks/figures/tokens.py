"""A class for each position of a sequence: the loss by position, and some sequences with truth and prediction."""

import torch
from torch import Tensor
from torch.nn import functional

from trainer.data.tree import Tree
from trainer.disk.figures import MOST_POINTS, MOST_WORDS, Curves, Figure, Texts
from trainer.tasks.figures.chosen import Chosen, Shown
from trainer.tasks.figures.drawing import Source

FEW = 4  # sequences of each kind
BLANK = "·"  # for a position that does not count


class TokenDrawing:
    """names: of the classes; ignored: the class index that does not count; axis: the one of a prediction that holds the
    classes."""

    def __init__(self, names: list[str], ignored: int, axis: int, source: Source) -> None:
        self.names, self.ignored, self.axis = names, ignored, axis
        self.chosen, self.shift = Chosen(source.rows, FEW), source.shift
        self.losses = self.counts = torch.zeros(0, dtype=torch.float64)  # by position

    def add(self, x: Tree, prediction: Tensor, y: Tensor) -> None:
        """prediction: logits, (B, T) with the classes along `axis`; y: class indices (B, T), padded to any length."""
        logits = prediction.movedim(self.axis, 1).float()
        counted = (y >= 0) & (y != self.ignored)
        labels = torch.where(counted, y, -100)
        losses = functional.cross_entropy(logits, labels, ignore_index=-100, reduction="none").double().cpu()
        truths, guesses, counted = labels.cpu(), logits.argmax(1).cpu(), counted.cpu()
        self.losses, self.counts = _longer(self.losses, losses.sum(0)), _longer(self.counts, counted.double().sum(0))
        self.chosen.add(losses.sum(1) / counted.sum(1).clamp_min(1), lambda place: (truths[place], guesses[place]))

    def figures(self) -> list[Figure]:
        """The curve, and the first and the worst sequences."""
        width = -(-len(self.losses) // MOST_POINTS)
        points = []
        for first in range(0, len(self.losses), width or 1):
            loss, count = self.losses[first : first + width].sum(), self.counts[first : first + width].sum()
            if count > 0:
                points.append((self.shift + first + (width - 1) / 2, float(loss / count)))
        if not points:
            return []
        caption = "the mean over all sequences of the split" + f", {width} positions a point" * (width > 1)
        found: list[Figure] = [Curves("Loss by position", caption, "position", "loss", [("loss", points)])]
        for which, group in self.chosen.groups():
            rows = [self._row(shown) for shown in group]
            caption = f"row: its number in the data, from 0; {BLANK}: does not count"
            found.append(Texts(f"Sequences: {which}", caption, ("truth", "prediction"), rows))
        return found

    def _row(self, shown: Shown) -> tuple[str, tuple[list[str], list[str]], list[int]]:
        truths, guesses = (part.tolist() for part in shown.content)
        length = max((place + 1 for place, truth in enumerate(truths) if truth >= 0), default=0)
        length = min(length, MOST_WORDS)
        truths, guesses = truths[:length], guesses[:length]
        lines = [self.names[truth] if truth >= 0 else BLANK for truth in truths], [self.names[g] for g in guesses]
        marked = [place for place, truth in enumerate(truths) if truth >= 0 and truth != guesses[place]]
        return f"row {shown.row}, loss {shown.score:.3g}", lines, marked


def _longer(known: Tensor, more: Tensor) -> Tensor:
    """The sums of both, by position."""
    total = torch.zeros(max(len(known), len(more)), dtype=torch.float64)
    total[: len(known)] += known
    total[: len(more)] += more
    return total
