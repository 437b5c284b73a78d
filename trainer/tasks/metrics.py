"""Metrics from sums and counts, added up on the device and divided once, so that uneven batches weigh right."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainer.data.facts import Facts
from trainer.data.scaling import Scale
from trainer.device import widest_dtype
from trainer.processes.ranks import Ranks
from trainer.stopping import METRICS

MONITOR = {"classes": "acc", "numbers": "loss"}  # what monitor=auto means
UNEVEN = 2  # times the rows of the smallest class: with more in the largest, accuracy alone says little
OF_EACH_CLASS = ("f1", "balanced_acc")


def known(task: str, num_rows: int) -> list[str]:
    """The metrics that a split of `num_rows` rows can give. A single row has no spread, and so no R²."""
    return [name for name in METRICS[task] if num_rows > 1 or (num_rows == 1 and name != "r2")]


def measured(task: str, num_rows: int, class_counts: Sequence[int] | None, monitor: str) -> list[str]:
    """Those of `known` that a run measures: F1 and balanced accuracy only where the classes are uneven, or it monitors
    one of them. class_counts: training rows of each class, if known."""
    needs_all = is_uneven(class_counts) or monitor.removeprefix("val/") in OF_EACH_CLASS
    return [name for name in known(task, num_rows) if needs_all or name not in OF_EACH_CLASS]


def is_uneven(class_counts: Sequence[int] | None) -> bool:
    """Whether accuracy alone says little. class_counts: training rows of each class, if known."""
    return class_counts is not None and max(class_counts) > UNEVEN * min(class_counts)


class Totals:
    """Sums over a split: correct predictions of classes, or squared and absolute errors of numbers. names: of the
    metrics to measure, see METRICS. scale_y: from the data's units to those of predictions and targets, if any."""

    def __init__(self, facts: Facts, metrics: Sequence[str], scale_y: Scale | None) -> None:
        self.facts, self.metrics, self.scale_y = facts, metrics, scale_y
        self.sums: dict[str, Tensor] = {}
        self.center: Tensor | None = None  # a row of targets, which their sums count from

    def add(self, prediction: Tensor, y: Tensor, loss: Tensor, denominator: Tensor) -> None:
        """Add a batch. prediction: (B, C) logits or (B, outputs); loss, denominator: 0-dim; see losses.denominator."""
        self._add("loss", loss.to(denominator.dtype) * denominator)
        self._add("denominator", denominator)
        if self.facts.task == "classes":
            self._add_classes(prediction, y)
        else:
            self._add_numbers(prediction, y)

    def _add_classes(self, prediction: Tensor, y: Tensor) -> None:
        labels = y if not y.is_floating_point() else y.argmax(1)
        guesses, counted = prediction.argmax(1), (labels >= 0) & (labels != self.facts.ignored)
        right = (guesses == labels) & counted
        self._add("correct", right.sum())
        self._add("count", counted.sum())
        if set(OF_EACH_CLASS) & set(self.metrics):
            classes = torch.arange(prediction.shape[1], device=y.device)
            found = {"truths": (labels, counted), "guesses": (guesses, counted), "hits": (labels, right)}
            for name, (rows, chosen) in found.items():  # bincount would wait for the device
                self._add(name, ((rows.reshape(-1, 1) == classes) & chosen.reshape(-1, 1)).sum(0))

    def _add_numbers(self, prediction: Tensor, y: Tensor) -> None:
        """Sums in the data's units, but counted from a target of the split: a large offset would take their digits."""
        truth, guess = (part.to(widest_dtype(y.device)) for part in (y, prediction))
        if self.scale_y is not None:
            truth, guess = self.scale_y.units(truth), self.scale_y.units(self.scale_y.linked(guess))
        error = (guess - truth).reshape(len(truth), -1)
        truth = truth.reshape(len(truth), -1)
        self.center = truth[0] if self.center is None else self.center
        self._add("squared", error.square().sum(0))
        self._add("absolute", error.abs().sum())
        self._add("truth", (truth - self.center).sum(0))
        self._add("truth_squared", (truth - self.center).square().sum(0))
        self._add("count", truth.new_tensor(float(len(truth))))

    def _add(self, name: str, value: Tensor) -> None:
        self.sums[name] = self.sums[name] + value if name in self.sums else value

    def add_ranks(self, ranks: Ranks) -> None:
        """Add up the sums of all ranks, after their targets count from the same one."""
        center = ranks.tell(None if self.center is None or ranks.size == 1 else self.center.cpu())
        if center is not None and self.center is not None:
            by, count, truth = self.center - center.to(self.center), self.sums["count"], self.sums["truth"]
            self.sums["truth_squared"] = self.sums["truth_squared"] + by * (2 * truth + by * count)
            self.sums["truth"] = truth + by * count
        self.sums = ranks.add_sums(self.sums)

    def reduce(self, split: str) -> dict[str, float]:
        """{'val/loss': …, 'val/acc': …}: the metrics by name, of numbers in the data's units; NaN where undefined."""
        sums = {name: value.to("cpu", torch.float64) for name, value in self.sums.items()}
        values = {"loss": sums["loss"] / sums["denominator"]}
        if self.facts.task == "classes":
            values["acc"] = sums["correct"] / sums["count"]
            values |= _of_each_class(sums) if "hits" in sums else {}
        else:
            num_values = sums["count"] * sums["squared"].numel()
            values["mse"] = sums["squared"].sum() / num_values
            values["mae"] = sums["absolute"] / num_values
            values["r2"] = _r2(sums)
        return {f"{split}/{name}": float(values[name]) for name in self.metrics}


def _of_each_class(sums: dict[str, Tensor]) -> dict[str, Tensor]:
    """Macro F1 over the classes that occur in targets or predictions, and the mean recall of those in targets."""
    hits, truths, both = sums["hits"], sums["truths"], sums["truths"] + sums["guesses"]
    f1, recall = 2 * hits / both, hits / truths
    return {"f1": f1[both > 0].mean(), "balanced_acc": recall[truths > 0].mean()}


def _r2(sums: dict[str, Tensor]) -> Tensor:
    """The mean over outputs of 1 - SSE / SST. For targets that are all the same: 1 if predicted exactly, else 0."""
    if sums["count"] < 2:
        return torch.tensor(torch.nan)
    spread = (sums["truth_squared"] - sums["truth"].square() / sums["count"]).clamp_min(0.0)
    exact = (sums["squared"] == 0).to(torch.float64)
    return torch.where(spread == 0, exact, 1 - sums["squared"] / spread).mean()
