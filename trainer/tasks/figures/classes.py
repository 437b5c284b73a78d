"""One class a row: how sure the model is against how often it is right, and of two classes what a threshold does."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainer.data.tree import Tree
from trainer.disk.figures import Cell, Curves, Figure, Table
from trainer.tasks import calibration
from trainer.tasks.calibration import BINS, Bin
from trainer.tasks.figures import thresholds
from trainer.tasks.figures.thresholds import Thresholds, points

GRID = 100  # parts of 0 to 1, between which thresholds are drawn
Decisions = Callable[[Tensor, Tensor], tuple[Tensor, Tensor] | None]


class ClassDrawing:
    """names: of the classes; decisions: see Task.decisions; temperature: of a calibrated run."""

    def __init__(self, names: Sequence[str], decisions: Decisions, temperature: float | None) -> None:
        self.names, self.decisions = names, decisions
        self.kinds = {"": 1.0} | ({"calibrated": temperature} if temperature not in (None, 1) else {})
        self.sure = {kind: list[Tensor]() for kind in self.kinds}
        self.brier = {kind: list[Tensor]() for kind in self.kinds}
        self.right, self.scores, self.truths = list[Tensor](), list[Tensor](), list[Tensor]()

    def add(self, x: Tree, prediction: Tensor, y: Tensor) -> None:
        """prediction: logits (B, classes); y: class indices (B,)."""
        found = self.decisions(prediction, y)
        if found is None:
            return
        logits, y = (part.cpu()[(found[1] >= 0).cpu()] for part in found)
        for kind, temperature in self.kinds.items():
            probabilities = (logits.double() / temperature).softmax(1)
            confidence, right = calibration.sureness(probabilities, y)
            self.sure[kind].append(confidence)
            self.brier[kind].append(calibration.brier(probabilities, y))
        self.right.append(right)
        if logits.shape[1] == 2:
            self.scores.append(probabilities[:, 1])
            self.truths.append(y == 1)

    def figures(self) -> list[Figure]:
        """The reliability diagram with its counts; of two classes the curves of a threshold too."""
        if not sum(map(len, self.right)):
            return []
        right = torch.cat(self.right)
        bins = {kind: calibration.reliability(torch.cat(sure), right) for kind, sure in self.sure.items()}
        means = {kind: float(torch.cat(rows).mean()) for kind, rows in self.brier.items()}
        found = [_diagram(bins, means), _counts(bins)]
        if self.scores:
            ranked = thresholds.ranked(torch.cat(self.scores), torch.cat(self.truths))
            name = self.names[1] if len(self.names) == 2 else "1"
            found += _of_two(ranked, name) if ranked.both else []
        return found


def _diagram(bins: dict[str, list[Bin]], brier: dict[str, float]) -> Figure:
    series = [
        (kind or "model", [(part.confidence, part.accuracy) for part in parts if part.count])
        for kind, parts in bins.items()
    ]
    errors = [f"{kind} ECE {calibration.gap(bins[kind]):.4f}, Brier {brier[kind]:.4f}".strip() for kind in bins]
    caption = "; ".join(["below the dashed line the model is surer than it is right", *errors])
    caption += ", on the rows that the temperature was fitted to" * (len(bins) > 1)
    return Curves("Reliability", caption, "confidence", "share of right answers", series, diagonal=True)


def _counts(bins: dict[str, list[Bin]]) -> Figure:
    """The rows of each bin that has some."""
    rows = list[Sequence[Cell]]()
    for place, several in enumerate(zip(*bins.values(), strict=True)):
        cells = [cell for part in several for cell in (part.count, round(part.accuracy, 4) if part.count else "")]
        if any(part.count for part in several):
            rows.append([f"{place / BINS:.2f} to {(place + 1) / BINS:.2f}", *cells])
    columns = [f"{kind} {name}".strip() for kind in bins for name in ("rows", "right")]
    return Table("Rows by confidence", f"{BINS} equal parts", ["confidence", *columns], rows)


def _of_two(ranked: Thresholds, name: str) -> list[Figure]:
    """The curves of the second class. name: of it."""
    grid = torch.linspace(0, 1, GRID + 1, dtype=torch.float64)
    hits, false = ranked.at(grid)
    precision, recall, some = hits / (hits + false), hits / ranked.hits[-1], hits + false > 0
    f1 = 2 * hits / (hits + false + ranked.hits[-1])
    share = (hits + false) / (ranked.hits[-1] + ranked.false[-1])
    series = [("precision", points(grid[some], precision[some]))]
    series += [(label, points(grid, values)) for label, values in (("recall", recall), ("F1", f1), ("share", share))]
    of = f"of '{name}'"
    caption = f"{of}: predicted where its probability is at least the threshold; share: of the rows that are"
    auc, average = f"AUC {ranked.auc():.4f}", f"average precision {ranked.average_precision():.4f}"
    roc, precisions = points(*ranked.roc()), points(*ranked.recall())
    return [
        Curves("Threshold", caption, "threshold", "", series),
        Curves("ROC curve", f"{of}; {auc}", "false positive rate", "true positive rate", [(name, roc)], diagonal=True),
        Curves("Precision and recall", f"{of}; {average}", "recall", "precision", [(name, precisions)]),
    ]
