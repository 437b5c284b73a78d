"""Losses, and the denominator of each: the count or weight that its mean divides by. Only this module knows it."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainer.config import target
from trainer.config.schema import Config
from trainer.data.facts import Facts
from trainer.data.labels import Denominator
from trainer.data.scaling import Scale
from trainer.data.target_scaling import TargetScaling, Way
from trainer.device import widest_dtype
from trainer.errors import ConfigError
from trainer.text import counted

AUTO = {"classes": "torch.nn.CrossEntropyLoss", "numbers": "torch.nn.MSELoss"}

WAYS: dict[Any, Way] = {  # losses that scaled targets change only in their units
    nn.MSELoss: "columns",
    nn.L1Loss: "columns",
    nn.HuberLoss: "common",
    nn.SmoothL1Loss: "common",
}
THRESHOLDS = {nn.HuberLoss: "delta", nn.SmoothL1Loss: "beta"}
ELEMENTWISE = (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss, nn.BCEWithLogitsLoss, nn.BCELoss)
NUMERIC = (*ELEMENTWISE, nn.PoissonNLLLoss, nn.GaussianNLLLoss)


def resolve(node: Mapping[str, Any], facts: Facts) -> dict[str, Any]:
    """A loss node with `auto` replaced by the loss that fits the task, and weight=balanced by numbers. Raises
    ConfigError."""
    node = dict(node)
    weight = node.get("weight")
    if weight is not None and facts.task == "numbers":
        raise ConfigError("loss.weight is one number per class, but the targets are numbers", "loss.weight=null")
    if weight == "balanced":
        node["weight"] = balanced(facts.class_counts)
    if node["_target_"] == "auto":
        node["_target_"] = AUTO[facts.task]
        if facts.task == "numbers":
            node.pop("weight", None)
    return node


def balanced(class_counts: Sequence[int] | None) -> list[float]:
    """Weights that give every class the same influence: rows / (classes × rows of the class), as in scikit-learn."""
    if class_counts is None:
        text = "loss.weight=balanced needs the labels of all training rows, but this dataset gives them only row by row"
        raise ConfigError(text, "loss.weight=[1,2,…], one number per class")
    total = sum(class_counts)
    return [total / (len(class_counts) * count) if count else 0.0 for count in class_counts]


def make_loss(
    node: Mapping[str, Any], facts: Facts, unit: float = 1.0, as_numbers: str = "store the targets as floats"
) -> nn.Module:
    """The loss that a config names. Raises ConfigError if it does not fit the task.

    unit: what the loss sees as 1, in the units of the data; the delta of Huber and the beta of SmoothL1 are in those.
    as_numbers: what makes the targets of this data numbers.
    """
    weight = node.get("weight")
    if isinstance(weight, list):
        if facts.classes is not None and len(weight) != len(facts.classes):
            raise ConfigError(
                f"loss.weight has {counted(len(weight), 'number')}, but the data has {len(facts.classes)} classes"
            )
        node = {**node, "weight": torch.tensor(weight)}
    loss_fn: nn.Module = target.construct(node, "loss")
    name = type(loss_fn).__name__
    if type(loss_fn) in THRESHOLDS:
        threshold = THRESHOLDS[type(loss_fn)]
        setattr(loss_fn, threshold, getattr(loss_fn, threshold) / unit)
    if isinstance(loss_fn, (nn.CrossEntropyLoss, nn.NLLLoss)) and facts.task == "numbers":
        raise ConfigError(f"loss={name} needs classes, but the targets are numbers", "loss=mse")
    if isinstance(loss_fn, NUMERIC) and facts.task == "classes" and not isinstance(loss_fn, nn.BCEWithLogitsLoss):
        raise ConfigError(
            f"loss={name} needs numbers, but the targets are classes, as loss=auto takes them", as_numbers
        )
    return loss_fn


def target_scaling(config: Config) -> TargetScaling:
    """How a run standardises the numbers that it predicts. Raises ConfigError for a loss that does not exist.

    MSE and L1 only change their units, if each column is standardised by itself; so do Huber and SmoothL1, if all
    columns share one deviation. Any other loss sees the data's own values.
    """
    asked, loss = config.dataset.get("scale_targets"), config.loss["_target_"]
    kind = target.locate(AUTO["numbers"] if loss == "auto" else loss, "loss")
    name, way = getattr(kind, "__name__", str(loss)), WAYS.get(kind)
    return TargetScaling(asked, way, name, strict=way is None and is_torchs(kind))


def unit(dataset: Mapping[str, Any], scale_y: Scale | None) -> float:
    """What a loss sees as 1, in the units of the data. dataset: the config's node; in version 0.1.0, which did not have
    scale_targets, thresholds were in scaled units."""
    known = scale_y.mean_and_std if scale_y is not None and "scale_targets" in dataset else None
    return float(known[1].flatten()[0]) if known is not None else 1.0


def link(loss_fn: nn.Module, dataset: Mapping[str, Any], scale_y: Scale | None) -> None:
    """Let the scale of targets know whether outputs are logits, or logarithms of a rate, so that metrics and
    predictions are in the units of the data. Runs of version 0.1.0 keep theirs."""
    if scale_y is None or "scale_targets" not in dataset:
        return
    if type(loss_fn) is nn.BCEWithLogitsLoss:
        scale_y.link = "sigmoid"
    elif type(loss_fn) is nn.PoissonNLLLoss and loss_fn.log_input:
        scale_y.link = "exp"


def is_torchs(kind: Any) -> bool:
    """Whether a class is one of torch's losses, not a user's."""
    return getattr(kind, "__module__", "") == nn.MSELoss.__module__


def takes_one_shape(loss_fn: nn.Module) -> bool:
    """Whether a loss on numbers compares each with its own target, so that both need one shape. A user's loss may
    reshape them itself."""
    return is_torchs(type(loss_fn))


def denominator(loss_fn: nn.Module) -> tuple[Denominator, str]:
    """(function from targets to the number that the loss's mean divides by, 0-dim; what that number counts).

    It counts samples, elements, or targets that are not ignored, by the weights of their classes. The loss of a window
    is the mean over the window, as if it were one batch, so this weighs its batches. Formulas: the `reduction='mean'`
    paragraphs of torch.nn's documentation. An unknown loss counts samples.
    """
    if getattr(loss_fn, "reduction", None) == "sum":
        return lambda y: y.new_ones((), dtype=widest_dtype(y.device)), "sum"
    if isinstance(loss_fn, (nn.CrossEntropyLoss, nn.NLLLoss)):
        return _counted_classes(loss_fn), "targets"
    if isinstance(loss_fn, ELEMENTWISE):
        return lambda y: y.new_tensor(float(y.numel()), dtype=widest_dtype(y.device)), "elements"
    return lambda y: y.new_tensor(float(len(y)), dtype=widest_dtype(y.device)), "samples"


def _counted_classes(loss_fn: nn.CrossEntropyLoss | nn.NLLLoss) -> Denominator:
    def count(y: Tensor) -> Tensor:
        if y.is_floating_point():  # probabilities: a mean over samples, and over pixels if there are any
            return y.new_tensor(y.numel() / y.shape[1], dtype=widest_dtype(y.device))
        counted = y != loss_fn.ignore_index
        if loss_fn.weight is None:
            return counted.sum().to(widest_dtype(y.device))
        return loss_fn.weight.to(widest_dtype(y.device))[y[counted]].sum()

    return count
