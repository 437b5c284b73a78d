"""What a target means for a run: its loss, its metrics, and what a prediction says about it."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from trainer.data.facts import Facts
from trainer.data.scaling import Scale
from trainer.data.tree import Tree
from trainer.tasks.columns import Columns
from trainer.tasks.figures.drawing import Drawing, Source
from trainer.tasks.named_metric import Named
from trainer.tasks.totals import Totals

Ratio = tuple[Tensor, Tensor]


class Task:
    """Targets of any kind, with a loss of your own: only the loss and its terms are measured.

    A task of your own is a subclass, picked by dataset.task={_target_: …}. It keeps the `name` of its parent, which
    says what its targets are, see meaning.TASKS.

    loss: the `_target_` of loss=auto; None where there is none. modes: the metrics, each with its better direction, min
    or max; more: those that it measures only if `metrics` asks for them. monitor: the one that monitor=auto means.
    result: what predict and export call the answer. facts: about the data; scale: of numeric targets, or of inputs that
    are the answer; class_axis: the axis of a prediction that holds the classes, 0 is the batch. named: the metrics by
    name that it does not measure itself, see metric_choice.py. temperature: of a calibrated run, see calibration.py.
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
        self.temperature: float | None = None

    def totals(self, names: Sequence[str]) -> Totals:
        """What adds up the metrics of these names over a split."""
        return Totals(names)

    def of_rows(self, prediction: Tree, y: Tree) -> Mapping[str, Ratio]:
        """The metrics that are a sum over rows divided by another, by name, each as (what a row adds to the first, what
        it adds to the second), both (B,)."""
        return {}

    def answer(self, prediction: Tree) -> Tree:
        """What the outputs of a model say: probabilities, numbers in the data's units, or the outputs as they are."""
        return prediction

    def calibrated(self, prediction: Tensor) -> Tensor:
        """Logits divided by the temperature, if there is one: what predict and export take the answer of. Metrics and
        losses take the logits as they are."""
        return prediction if self.temperature is None else prediction / self.temperature

    def decisions(self, prediction: Tree, y: Tree) -> tuple[Tensor, Tensor] | None:
        """What a temperature is fitted to: (logits (M, classes) whose softmax is the answer, class indices (M,)), as
        many for each row; indices below 0 do not count. None where a temperature has no meaning."""
        return None

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
