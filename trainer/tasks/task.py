"""What a target means for a run: its loss, its metrics, and what a prediction says about it."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from trainer.data.facts import Facts
from trainer.data.scaling import Scale
from trainer.data.tree import Tree
from trainer.device import widest_dtype
from trainer.stopping import METRICS
from trainer.tasks import columns
from trainer.tasks.classes import OF_CLASSES, ClassTotals
from trainer.tasks.columns import Columns
from trainer.tasks.figures.drawing import Drawing, Source
from trainer.tasks.figures.inputs import InputDrawing
from trainer.tasks.figures.labels import LabelDrawing
from trainer.tasks.figures.pixels import PixelDrawing
from trainer.tasks.figures.tokens import TokenDrawing
from trainer.tasks.labels import LabelTotals
from trainer.tasks.named_metric import Named
from trainer.tasks.numbers import NumberTotals
from trainer.tasks.quantile import middle
from trainer.tasks.reconstruction import InputTotals
from trainer.tasks.totals import Totals


class Task:
    """Targets of any kind, with a loss of your own: only the loss and its terms are measured.

    A task of your own is a subclass, named by dataset.task._target_. name: see meaning.TASKS. loss: the `_target_` of
    loss=auto; None where there is none. modes: the metrics, each with its better direction, min or max; more: those
    that it measures only if `metrics` asks for them. monitor: the one that monitor=auto means. result: what predict and
    export call the answer. facts: about the data; scale: of numeric targets; class_axis: the axis of a prediction that
    holds the classes, 0 is the batch. named: the metrics by name that it does not measure itself, see metric_choice.py.
    """

    name: ClassVar[str] = "free"
    loss: ClassVar[str | None] = None
    modes: ClassVar[Mapping[str, str]] = {"loss": "min"}
    more: ClassVar[Mapping[str, str]] = {}
    monitor: ClassVar[str] = "loss"
    result: ClassVar[str] = "prediction"

    def __init__(self, facts: Facts, scale: Scale | None = None, class_axis: int = 1) -> None:
        self.facts, self.scale, self.class_axis = facts, scale, class_axis
        self.named: Sequence[Named] = ()

    def totals(self, names: Sequence[str]) -> Totals:
        """What adds up the metrics of these names over a split."""
        return Totals(names)

    def answer(self, prediction: Tree) -> Tree:
        """What the outputs of a model say: probabilities, numbers in the data's units, or the outputs as they are."""
        return prediction

    def guess(self, prediction: Tensor) -> Tensor | None:
        """What probabilities decide for: class indices, or 0 and 1; None where the answer is no probability."""
        return None

    def columns(self, prediction: Tensor, targets: Sequence[str]) -> Columns | None:
        """What predict writes in a table, see Columns; None where it has no table form. targets: names of numbers."""
        return None

    def drawing(self, source: Source) -> Drawing | None:
        """What collects the figures that a page shows of a split, if there are any but the curves of the metrics."""
        return None

    def for_metrics(self, prediction: Tree, y: Tree) -> tuple[Tree, Tree]:
        """(answer, truth) of a batch as metrics by name take them, in the widest dtype of the device."""
        return prediction, y


class Classes(Task):
    """One class a row."""

    name, loss, modes, monitor = "classes", "torch.nn.CrossEntropyLoss", METRICS["classes"], "acc"
    result = "probabilities"
    more = OF_CLASSES

    def totals(self, names: Sequence[str]) -> Totals:
        return ClassTotals(names, self.facts.ignored, self.class_axis)

    def answer(self, prediction: Tensor) -> Tensor:
        """Probabilities, along the same axis."""
        return prediction.softmax(self.class_axis)

    def guess(self, prediction: Tensor) -> Tensor:
        """Class indices."""
        return prediction.argmax(self.class_axis)

    def columns(self, prediction: Tensor, targets: Sequence[str]) -> Columns | None:
        """A class and the probability of each."""
        return columns.of_classes(self.guess(prediction), self.answer(prediction), self.facts.classes or [])

    def for_metrics(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(Probabilities (N, classes, …), class indices (N, …))."""
        answer: Tensor = self.answer(prediction.to(widest_dtype(prediction.device))).movedim(self.class_axis, 1)
        return answer, y.argmax(1) if y.is_floating_point() else y


class Tokens(Classes):
    """A class for each position of a sequence."""

    name, modes, monitor = "tokens", METRICS["tokens"], "loss"

    def columns(self, prediction: Tensor, targets: Sequence[str]) -> Columns | None:
        """The same for each position."""
        probabilities = self.answer(prediction).movedim(self.class_axis, -1)
        return columns.of_tokens(self.guess(prediction), probabilities, self.facts.classes or [])

    def drawing(self, source: Source) -> Drawing:
        """The loss by position, and some sequences."""
        return TokenDrawing(self.facts.classes or [], self.facts.ignored, self.class_axis, source)


class Pixels(Classes):
    """A class for each pixel."""

    name, modes, monitor = "pixels", METRICS["pixels"], "iou"

    def columns(self, prediction: Tensor, targets: Sequence[str]) -> Columns | None:
        """None: pixels are no table."""
        return None

    def drawing(self, source: Source) -> Drawing:
        """Input, truth and prediction of some rows."""
        return PixelDrawing(self.facts.classes or [], self.facts.ignored, self.class_axis, source)


class Labels(Task):
    """Several labels a row, each 0 or 1."""

    name, loss, modes, monitor = "labels", "torch.nn.BCEWithLogitsLoss", METRICS["labels"], "f1"
    result = "probabilities"

    def totals(self, names: Sequence[str]) -> Totals:
        return LabelTotals(names)

    def answer(self, prediction: Tensor) -> Tensor:
        """A probability for each label."""
        return prediction.sigmoid()

    def guess(self, prediction: Tensor) -> Tensor:
        """0 or 1 for each label."""
        return (prediction > 0).long()

    def columns(self, prediction: Tensor, targets: Sequence[str]) -> Columns | None:
        """0 or 1 for each label, then the probability of each."""
        return columns.of_labels(self.guess(prediction), self.answer(prediction), self.facts.classes or [])

    def drawing(self, source: Source) -> Drawing:
        """A small matrix and the curves of each label."""
        return LabelDrawing(self.facts.classes or [], source)

    def for_metrics(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """(Probabilities (N, labels), 0 or 1 (N, labels))."""
        return self.answer(prediction.to(widest_dtype(prediction.device))), (y > 0.5).long()


class Numbers(Task):
    """Numbers, in the units of the data."""

    name, loss, modes, monitor = "numbers", "torch.nn.MSELoss", METRICS["numbers"], "loss"

    def totals(self, names: Sequence[str]) -> Totals:
        return NumberTotals(names, self.scale)

    def answer(self, prediction: Tree) -> Tree:
        """Numbers in the data's units, in float64 where the targets were standardised."""
        if self.scale is None or not isinstance(prediction, Tensor):
            return prediction
        return self.scale.predicted(prediction)

    def columns(self, prediction: Tensor, targets: Sequence[str]) -> Columns | None:
        """A column for each number."""
        return columns.of_numbers(self.answer(prediction), targets) if isinstance(prediction, Tensor) else None

    def for_metrics(self, prediction: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Both (N, …) in the data's units."""
        dtype = widest_dtype(y.device)
        y = y.to(dtype)
        return self.answer(middle(prediction, y).to(dtype)), y if self.scale is None else self.scale.inverse(y)


class Input(Task):
    """The input itself, as the model sees it."""

    name, loss, modes, monitor = "input", "torch.nn.MSELoss", METRICS["input"], "loss"

    def totals(self, names: Sequence[str]) -> Totals:
        return InputTotals(names)

    def drawing(self, source: Source) -> Drawing:
        """Inputs beside their reconstructions."""
        return InputDrawing(self.facts.input_shape, source)

    def for_metrics(self, prediction: Tree, y: Tensor) -> tuple[Tree, Tensor]:
        """Both in the shape of the input."""
        dtype = widest_dtype(y.device)
        if isinstance(prediction, Tensor) and prediction.numel() == y.numel():
            return prediction.reshape(y.shape).to(dtype), y.to(dtype)
        return prediction, y


TASKS: dict[str, type[Task]] = {kind.name: kind for kind in (Classes, Numbers, Labels, Tokens, Pixels, Input, Task)}


def make(facts: Facts, scale: Scale | None, class_axis: int = 1) -> Task:
    """The task that the data sets."""
    return TASKS[facts.task](facts, scale, class_axis)
