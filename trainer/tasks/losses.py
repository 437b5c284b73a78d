"""Losses, and the denominator of each: the count or weight that its mean divides by."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from trainer.config import target
from trainer.config.schema import Config
from trainer.data import tree
from trainer.data.facts import Facts
from trainer.data.labels import Denominator
from trainer.data.loading import own_task
from trainer.data.meaning import INDEXED, NO_TARGET
from trainer.data.scaling import Scale
from trainer.data.target_scaling import TargetScaling, Way
from trainer.data.tree import Tree
from trainer.device import widest_dtype
from trainer.errors import ConfigError
from trainer.tasks import along_axis, loss_modules, soft_targets
from trainer.tasks.along_axis import ALONG_AXIS
from trainer.tasks.focal import FocalLoss
from trainer.tasks.kinds import TASKS, kind_of
from trainer.tasks.model_loss import OfModel
from trainer.tasks.quantile import QuantileLoss
from trainer.text import counted

AUTO = {kind.loss for kind in TASKS.values() if kind.loss is not None}  # what loss=auto may mean
QUANTILE = f"{QuantileLoss.__module__}.{QuantileLoss.__name__}"
PER_CLASS = ("weight", "label_smoothing", "ignore_index", "class_axis")  # keys of losses of classes
WAYS: dict[Any, Way] = {  # losses that scaled targets change only in their units
    nn.MSELoss: "columns",
    nn.L1Loss: "columns",
    nn.HuberLoss: "common",
    nn.SmoothL1Loss: "common",
}
THRESHOLDS = {nn.HuberLoss: "delta", nn.SmoothL1Loss: "beta"}
AS_NUMBERS = "dataset.task=numbers"  # makes numbers of targets that are whole numbers
ELEMENTWISE = (*WAYS, nn.BCEWithLogitsLoss, nn.BCELoss, nn.PoissonNLLLoss, QuantileLoss)
OURS = (along_axis.__name__, FocalLoss.__module__, QuantileLoss.__module__, soft_targets.__name__)
NUMERIC = (*ELEMENTWISE, nn.GaussianNLLLoss)


def resolve(node: Mapping[str, Any], facts: Facts, own: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A loss node with `auto` replaced by the loss that fits the task, and weight=balanced by numbers. own: a task of
    your own, see loading.own_task. Raises ConfigError."""
    node = dict(node)
    weight, kind = node.get("weight"), node["_target_"]
    kind = kind if kind == "auto" else target.locate(kind, "loss")
    is_ours = kind == "auto" or is_torchs(kind)
    if facts.task == "labels" and kind is nn.BCELoss and own is None:
        text = "loss BCELoss takes probabilities, but a model gives logits of labels: metrics and answers are of those"
        raise ConfigError(text, "loss=bce, and a forward that returns the logits, without a sigmoid", "loss")
    if weight is not None and facts.task not in INDEXED and (is_ours or weight == "balanced"):
        text = f"loss.weight is one number per class, but the targets are {facts.task}"
        hint = (
            "loss=bce 'loss.pos_weight=[1,2,…]', one number per label" if facts.task == "labels" else "loss.weight=null"
        )
        raise ConfigError(text, hint, "loss.weight")
    if weight == "balanced":
        node["weight"] = balanced(facts.class_counts)
    if node["_target_"] == "auto":
        fitting = kind_of(facts.task, own).loss
        if fitting is None:
            if facts.meaning.why == NO_TARGET:
                text = "loss=auto needs a target, but the rows have none that is called labels, label or target"
                raise ConfigError(text, "dataset.target=NAME, or a loss of your own: loss._target_=my_file.MyLoss")
            text = f"loss=auto knows no loss for these targets: {facts.meaning.why}"
            raise ConfigError(text, "loss._target_=my_file.MyLoss", "loss")
        node["_target_"] = fitting
        accepted = target.parameters(target.locate(fitting, "loss"))
        for key in [key for key in PER_CLASS if node.get(key) is None or facts.task not in INDEXED]:
            value = node.pop(key, None)
            if value is not None and key in accepted:
                node[key] = value
            elif value is not None:
                text = f"loss.{key} is for classes, but the targets are {facts.task}"
                raise ConfigError(text, f"loss.{key}=null", f"loss.{key}")
    return node


def can_weigh(node: Mapping[str, Any]) -> bool:
    """Whether a resolved loss node leaves weights of classes open: those that nobody typed are null or left out."""
    kind = target.locate(node["_target_"], "loss")
    return node.get("weight") is None and isinstance(kind, type) and issubclass(kind, (nn.CrossEntropyLoss, nn.NLLLoss))


def balanced(class_counts: Sequence[int] | None) -> list[float]:
    """Weights that give every class the same influence: rows / (classes × rows of the class), as in scikit-learn."""
    if class_counts is None:
        text = "loss.weight=balanced needs the labels of all training rows, but this dataset gives them only row by row"
        raise ConfigError(text, "'loss.weight=[1,2,…]', one number per class")
    total = sum(class_counts)
    return [total / (len(class_counts) * count) if count else 0.0 for count in class_counts]


def make_loss(
    node: Mapping[str, Any],
    facts: Facts,
    unit: float = 1.0,
    class_axis: int = 1,
) -> nn.Module:
    """The loss that a config names. Raises ConfigError if it does not fit the task.

    class_axis: of predictions, for cross-entropy. unit: what the loss sees as 1, in the units of the data; the delta of
    Huber and the beta of SmoothL1 are in those.
    """
    weight = node.get("weight")
    if isinstance(weight, list) and facts.task in INDEXED:
        if facts.classes is not None and len(weight) != len(facts.classes):
            raise ConfigError(
                f"loss.weight has {counted(len(weight), 'number')}, but the data has {len(facts.classes)} classes"
            )
        node = {**node, "weight": torch.tensor(weight)}
    positive = node.get("pos_weight")
    if isinstance(positive, list):
        if facts.task == "labels" and len(positive) not in (1, facts.num_outputs):
            text = (
                f"loss.pos_weight has {counted(len(positive), 'number')}, but the data has {facts.num_outputs} labels"
            )
            raise ConfigError(text, "one number for each label, in their order", "loss.pos_weight")
        node = {**node, "pos_weight": torch.tensor(positive)}
    kind = target.locate(node["_target_"], "loss")
    if "class_axis" in node and (is_torchs(kind) or "class_axis" not in target.parameters(kind)):
        node = {key: value for key, value in node.items() if key != "class_axis"}
    loss_fn: nn.Module = target.construct(node, "loss")
    if not isinstance(loss_fn, nn.Module):
        text = f"loss._target_={node['_target_']} makes a {type(loss_fn).__name__}, which is not an nn.Module"
        raise ConfigError(text, "a class that inherits from torch.nn.Module", "loss._target_")
    if type(loss_fn) in ALONG_AXIS and class_axis != 1:
        loss_fn.__class__ = ALONG_AXIS[type(loss_fn)]
        loss_fn.class_axis = class_axis  # type: ignore[assignment]
    loss_modules.settle(loss_fn)
    name = type(loss_fn).__name__
    if type(loss_fn) in THRESHOLDS:
        threshold = THRESHOLDS[type(loss_fn)]
        setattr(loss_fn, threshold, getattr(loss_fn, threshold) / unit)
    of_classes = isinstance(loss_fn, (nn.CrossEntropyLoss, nn.NLLLoss, FocalLoss))
    if of_classes and (facts.task == "numbers" or (facts.task not in INDEXED and isinstance(loss_fn, FocalLoss))):
        hint = "loss=bce" if facts.task == "labels" else "loss=mse"
        raise ConfigError(f"loss={name} needs classes, but the targets are {facts.task}", hint)
    if isinstance(loss_fn, NUMERIC) and facts.task in INDEXED and not isinstance(loss_fn, nn.BCEWithLogitsLoss):
        raise ConfigError(
            f"loss={name} needs numbers, but the targets are classes, as loss=auto takes them", AS_NUMBERS
        )
    return loss_fn


def target_scaling(config: Config) -> TargetScaling:
    """How a run standardises the numbers that it predicts. Raises ConfigError for a loss that does not exist.

    MSE and L1 only change their units, if each column is standardised by itself; so do Huber and SmoothL1, if all
    columns share one deviation. Any other loss sees the data's own values.
    """
    asked, loss = config.dataset.get("scale_targets"), config.loss["_target_"]
    auto = kind_of("numbers", own_task(config.dataset)).loss or str(TASKS["numbers"].loss)
    kind = target.locate(auto if loss == "auto" else loss, "loss")
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
    """Whether a class is one of torch's losses or ours, not a user's."""
    return getattr(kind, "__module__", "") in (nn.MSELoss.__module__, *OURS)


def takes_one_shape(loss_fn: nn.Module) -> bool:
    """Whether a loss on numbers compares each with its own target, so that both need one shape. A user's loss may
    reshape them itself."""
    return is_torchs(type(loss_fn)) and not isinstance(loss_fn, QuantileLoss)


def num_predictions(node: Mapping[str, Any]) -> int:
    """How many numbers a loss takes for each target. node: the config's."""
    return len(node["quantiles"]) if node["_target_"] == QUANTILE else 1


def denominator(loss_fn: nn.Module) -> tuple[Denominator, str]:
    """(function from the targets of a batch and its number of rows to the number that the loss's mean divides by,
    0-dim; what that number counts).

    It counts samples, elements, or targets that are not ignored, by the weights of their classes. The loss of a window
    is the mean over the window, as if it were one batch, so this weighs its batches. Formulas: the `reduction='mean'`
    paragraphs of torch.nn's documentation. A loss of your own counts samples, or what its method `denominator(target)`
    returns.
    """
    own = getattr(loss_fn, "denominator", None)
    if callable(own) and not (isinstance(loss_fn, OfModel) and loss_fn.ignored is None):
        return lambda y, num_rows: _number(own(y), y), "its denominator"
    if getattr(loss_fn, "reduction", None) == "sum":  # of an evaluation it is a mean over samples too
        return lambda y, num_rows: _number(float(num_rows), y), "sum"
    if isinstance(loss_fn, (nn.CrossEntropyLoss, nn.NLLLoss)):
        return _counted_classes(loss_fn), "targets"
    if isinstance(loss_fn, ELEMENTWISE):
        return lambda y, num_rows: _number(float(y.numel()), y), "elements"
    return lambda y, num_rows: _number(float(num_rows), y), "samples"


def _number(value: float | Tensor, y: Tree) -> Tensor:
    device = tree.device(y)
    return torch.as_tensor(value, dtype=widest_dtype(device), device=device).reshape(())


def _counted_classes(loss_fn: nn.CrossEntropyLoss | nn.NLLLoss) -> Denominator:
    def count(y: Tensor, num_rows: int) -> Tensor:
        if y.is_floating_point():  # probabilities: a mean over samples, and over pixels if there are any
            return y.new_tensor(y.numel() / y.shape[1], dtype=widest_dtype(y.device))
        counted = y != loss_fn.ignore_index
        if loss_fn.weight is None:
            return counted.sum().to(widest_dtype(y.device))
        return loss_fn.weight.to(widest_dtype(y.device))[y[counted]].sum()

    return count
