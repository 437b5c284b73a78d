"""One class a row, position or pixel: accuracy, F1, and what goes with them."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from trainer.device import widest_dtype
from trainer.stopping import METRICS
from trainer.tasks import columns
from trainer.tasks.columns import Columns
from trainer.tasks.figures.classes import ClassDrawing
from trainer.tasks.figures.drawing import Drawing, Source
from trainer.tasks.task import Ratio, Task
from trainer.tasks.totals import Totals

OF_EACH_CLASS = ("f1", "balanced_acc", "iou")
SURPRISE = ("perplexity", "bits")
OF_CLASSES = dict.fromkeys(("acc", *OF_EACH_CLASS), "max") | dict.fromkeys(SURPRISE, "min")  # with the better direction


class Classes(Task):
    """One class a row."""

    name, loss, modes, monitor = "classes", "torch.nn.CrossEntropyLoss", METRICS["classes"], "acc"
    result = "probabilities"
    more = OF_CLASSES

    def totals(self, names: Sequence[str]) -> Totals:
        return ClassTotals(names, self.facts.ignored, self.class_axis)

    def of_rows(self, prediction: Tensor, y: Tensor) -> Mapping[str, Ratio]:
        """The share of right answers."""
        counted = (y >= 0) & (y != self.facts.ignored)
        right = (prediction.argmax(self.class_axis) == y) & counted
        return {"acc": (right.reshape(len(y), -1).sum(1), counted.reshape(len(y), -1).sum(1))}

    def answer(self, prediction: Tensor) -> Tensor:
        """Probabilities, along the same axis."""
        return prediction.softmax(self.class_axis)

    def guess(self, prediction: Tensor) -> Tensor:
        """Class indices."""
        return prediction.argmax(self.class_axis)

    def columns(self, prediction: Tensor, targets: Sequence[str]) -> Columns | None:
        """A class and the probability of each."""
        probabilities = self.answer(self.calibrated(prediction))
        return columns.of_classes(self.guess(prediction), probabilities, self.facts.classes or [])

    def decisions(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor] | None:
        """One for each row; None for several positions a row, and for a task of your own with another answer."""
        if prediction.ndim != 2 or type(self).answer is not Classes.answer:
            return None
        return prediction.movedim(self.class_axis, 1), y.where(y != self.facts.ignored, -1)

    def drawing(self, source: Source) -> Drawing | None:
        """How sure the model is against how often it is right; of two classes, what a threshold does."""
        return ClassDrawing(self.facts.classes or [], self.decisions, self.temperature)

    def for_metrics(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(Probabilities (N, classes, …), class indices (N, …))."""
        answer: Tensor = self.answer(prediction.to(widest_dtype(prediction.device))).movedim(self.class_axis, 1)
        return answer, y


class ClassTotals(Totals):
    """Right answers, and the truths, answers and hits of each class. ignored: the class index that does not count;
    axis: the one of a prediction that holds the classes."""

    def __init__(self, names: Sequence[str], ignored: int, axis: int = 1) -> None:
        super().__init__(names)
        self.ignored, self.axis = ignored, axis
        self.each_class = bool(set(OF_EACH_CLASS) & set(names))
        self.surprise = bool(set(SURPRISE) & set(names))

    def add(self, prediction: Tensor, y: Tensor) -> None:
        """prediction: logits, classes along `axis`; y: class indices."""
        guesses, counted = prediction.argmax(self.axis), (y >= 0) & (y != self.ignored)
        right = (guesses == y) & counted
        self.sum("correct", right.sum())
        self.sum("count", counted.sum())
        if self.each_class:
            zeros = torch.zeros(prediction.shape[self.axis], dtype=torch.int64, device=y.device)
            found = {"truths": (y, counted), "guesses": (guesses, counted), "hits": (y, right)}
            for name, (rows, chosen) in found.items():  # bincount would wait for the device
                index = torch.where(chosen, rows, 0).reshape(-1)
                self.sum(name, zeros.scatter_add(0, index, chosen.reshape(-1).long()))
        if self.surprise:
            logs = prediction.movedim(self.axis, -1).log_softmax(-1)
            taken = logs.gather(-1, torch.where(counted, y, 0).unsqueeze(-1)).squeeze(-1)
            self.sum("surprise", -torch.where(counted, taken, 0.0).sum(dtype=widest_dtype(y.device)))

    def values(self, sums: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        values = {"acc": sums["correct"] / sums["count"]}
        if "hits" in sums:
            values |= {name: of_each[~of_each.isnan()].mean() for name, of_each in _of_each_class(sums).items()}
        if "surprise" in sums:
            mean = sums["surprise"] / sums["count"]
            values |= {"perplexity": mean.exp(), "bits": mean / torch.log(torch.tensor(2.0, dtype=torch.float64))}
        return values

    def of_each(self) -> dict[str, Tensor]:
        """F1 and intersection over union, where they are asked for."""
        if "hits" not in self.sums:
            return {}
        found = _of_each_class({name: value.to("cpu", torch.float64) for name, value in self.sums.items()})
        return {name: found[name] for name in ("f1", "iou") if name in self.names}


def _of_each_class(sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """F1 and intersection over union of each class, NaN for one that occurs in no target or prediction, and the recall,
    NaN for one in no target."""
    hits, truths, both = sums["hits"], sums["truths"], sums["truths"] + sums["guesses"]
    return {"f1": 2 * hits / both, "balanced_acc": hits / truths, "iou": hits / (both - hits)}
