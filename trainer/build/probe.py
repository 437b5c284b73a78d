"""Checks before training: one forward and loss on two rows, and a compiler."""

import contextlib
import inspect
import re
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainer.build import sizes
from trainer.build.loss import build_loss, try_loss
from trainer.build.model import does_not_take
from trainer.config.schema import Config
from trainer.data import tree
from trainer.data.sample import TARGETS
from trainer.data.splits import Splits
from trainer.data.tree import Tree
from trainer.errors import ConfigError
from trainer.guards import structure
from trainer.guards.finding import Finding
from trainer.tasks import calls, fit, loss_modules, losses, model_loss
from trainer.tasks.calls import LOSS, Call, Loss
from trainer.tasks.fit import BATCH_FIRST, Fit
from trainer.tasks.model_loss import OfModel
from trainer.tasks.quantile import QuantileLoss
from trainer.text import counted, listed


class OtherTask(Exception):
    """The outputs of the model do not fit the task that the data alone suggested. Its argument is the other task."""


@dataclass
class Probed:
    """How the run calls its model and its loss, see TrainState. loss_node: the loss's resolved node; prediction: for
    the sample's rows; flops: of a forward, a sample."""

    call: Call
    fit: Fit
    loss_node: dict[str, Any]
    loss_fn: nn.Module
    loss: Loss
    terms: tuple[str, ...]
    prediction: Tree
    flops: float
    is_tree: bool  # whether outputs are trees as they are
    buffers: dict[str, Tensor]  # the loss's, before it was first called
    summed: bool  # whether the sum of the terms is minimised

    def around(self, module: nn.Module, x: Tree) -> Call:
        """The same call of a module around the model. x: an input."""
        call = calls.of_model(module, x)
        if isinstance(self.loss_fn, OfModel):
            return model_loss.of_outputs(call)
        return call if self.is_tree else calls.of_outputs(call)


def probe(config: Config, model: nn.Module, splits: Splits, device: torch.device, dtype: torch.dtype) -> Probed:
    """Try one forward and loss on two rows. Raises ConfigError where model, loss and data do not fit together."""
    output, flops = _forward(model, splits)
    as_tree = model_loss.plain_named if config.loss["_target_"] == model_loss.PATH else calls.plain
    is_tree, prediction = calls.is_plain(output), as_tree(output)
    name, facts = type(model).__name__, splits.facts
    if facts.meaning.or_else and all(leaf.shape != splits.sample[1].shape for leaf in tree.leaves(prediction)):
        raise OtherTask(facts.meaning.or_else)
    axis, y = config.loss.get("class_axis"), splits.sample[1]
    found = fit.find(facts, prediction, y, name, axis, lambda: _shorter(model, splits, as_tree))
    if facts.meaning.counted:
        splits.settle(calls.picked(prediction, found.path).shape[found.class_axis])
    loss_node, loss_fn = build_loss(config, splits.preprocessing, device, dtype, found.class_axis)
    if isinstance(fitting := found(prediction), Tensor) and not isinstance(loss_fn, QuantileLoss):
        check_prediction(fitting, splits.sample[1], splits, name, own_loss=not losses.takes_one_shape(loss_fn))
        if losses.takes_one_shape(loss_fn):
            splits.shape_targets(tuple(fitting.shape[1:]))
    output = prediction
    if isinstance(loss_fn, OfModel):
        prediction = _with_target(model, loss_fn, splits)
        loss_node["argument"] = loss_fn.argument
    ours, buffers = losses.is_torchs(type(loss_fn)), loss_modules.buffers(loss_fn)
    loss = calls.of_loss(loss_fn, found.path if ours else ())
    how = (loss, loss_fn, prediction, splits, found.class_axis)
    tried = [try_loss(*how)]
    hint = "++loss.reduction=mean" if ours else "return one number, such as a mean, or a dict of terms"
    terms = calls.term_names(tried[0], type(loss_fn).__name__, hint)
    if not ours:
        loss_fn.eval()
        tried.append(try_loss(*how))
        loss_fn.train()
        calls.check_terms(terms, calls.term_names(tried[1], type(loss_fn).__name__, hint), type(loss_fn).__name__)
    prepared = splits.preprocessing
    prepared.path, prepared.class_axis, prepared.terms = found.path, found.class_axis, terms
    is_flat = not all(isinstance(found, Tensor) and found.ndim == 0 for found in tried)
    loss = calls.of_loss(loss_fn, found.path if ours else (), terms, is_flat=is_flat)
    summed = bool(terms) and LOSS not in tried[0]
    probed = Probed(model, found, loss_node, loss_fn, loss, terms, output, flops, is_tree, buffers, summed)
    probed.call = probed.around(model, splits.sample[0])
    return probed


def _with_target(model: nn.Module, loss_fn: OfModel, splits: Splits) -> Tree:
    """The prediction for the sample by a model that gets its target too. Raises ConfigError for one without a loss."""
    name, taken = type(model).__name__, inspect.signature(model.forward).parameters
    if loss_fn.argument is None:
        picked = getattr(getattr(splits.train.part.data, "choice", None), "target", None)
        loss_fn.argument = next((key for key in (str(picked), *TARGETS, "targets") if key in taken), TARGETS[0])
    takes_any = any(p.kind is p.VAR_KEYWORD for p in taken.values())
    if splits.sample[1] is not None and loss_fn.argument not in taken and not takes_any:
        text = f"loss=model gives the target to {name}.forward as '{loss_fn.argument}', but it takes {listed([*taken])}"
        raise ConfigError(text, "loss.argument=NAME", "loss.argument")
    splits.give_target(loss_fn.argument)
    prediction = model_loss.plain_named(_forward(model, splits)[0])
    if LOSS not in prediction:
        text = f"loss=model: {name} returns no 'loss' when it is given '{loss_fn.argument}'"
        raise ConfigError(text, "loss=auto", "loss")
    return prediction


@torch.no_grad()
def _shorter(model: nn.Module, splits: Splits, as_tree: Callable[[Any], Tree]) -> tuple[Tree, Tree]:
    """The prediction and the targets for the sample's sequences without their last position, or for whole ones where
    the model takes no others."""
    x, y = splits.sample
    length = y.shape[1]

    def cut(leaf: Tensor) -> Tensor:
        return leaf[:, : length - 1] if leaf.ndim > 1 and leaf.shape[1] == length else leaf

    call = calls.of_model(model.eval(), x)
    with contextlib.suppress(Exception):  # a model of one length fails in its own way
        return as_tree(call(tree.mapped(cut, x))), cut(y)
    return as_tree(call(x)), y


def _forward(model: nn.Module, splits: Splits) -> tuple[Any, float]:
    """(The output for two rows, operations a sample). Whole-number inputs are made floats for a model that takes only
    those. Raises ConfigError."""
    x, _ = splits.sample
    try:
        return sizes.forward_flops(model, calls.of_model(model, x), x, tree.num_rows(x))
    except Exception as error:
        if splits.cast_inputs():
            try:
                return _forward(model, splits)
            except ConfigError as other:
                if not re.search(r"long|int64", str(other.__cause__), re.IGNORECASE):  # else it wants whole numbers
                    raise
        for finding in structure.elsewhere(model, nn.Module(), *splits.sample):
            raise ConfigError(finding.message, finding.remedy) from error
        how, has_target = splits.preprocessing.pictures, splits.sample[1] is not None
        is_grey = how is not None and how.grey
        raise does_not_take(model, x, error, has_target=has_target, is_grey=is_grey) from error


def check_prediction(prediction: Tensor, y: Tensor, splits: Splits, name: str, *, own_loss: bool = False) -> None:
    """Raise ConfigError where the shapes of prediction and targets do not fit. (A guard reports a broadcast.) own_loss:
    whether the loss may take several numbers for a target."""
    shape, classes = tuple(prediction.shape), splits.facts.classes
    if not isinstance(y, Tensor) or splits.facts.task not in ("classes", "numbers", "labels"):
        return
    if splits.facts.task != "classes":
        if own_loss and y.numel() == len(y) and shape[:1] == y.shape[:1]:
            return
        if (axis := _other_axis(shape, tuple(y.shape))) is not None:
            text = f"model {name} gives outputs of shape {shape}, but the targets have the shape {tuple(y.shape)}"
            hint = f"an output of shape {_wanted(y)}" + ", or dataset.task=free" * own_loss
            raise ConfigError(f"{text}: axis {axis} differs", hint)
    elif classes is not None:
        wanted = f"an output of shape (batch, {len(classes)}): leave its size null in the config"
        if not shape or shape[0] != len(y):
            text = f"model {name} gives outputs of shape {shape} for {counted(len(y), 'row')}: axis 0 is not the rows'"
            raise ConfigError(text, BATCH_FIRST)
        if len(shape) < 2 or shape[1] != len(classes):
            where = f", {shape[1]} along axis 1" if len(shape) > 1 else ""
            text = f"model {name} gives outputs of shape {shape}{where}; the data has {counted(len(classes), 'class')}"
            raise ConfigError(text, wanted)


def _other_axis(prediction: tuple[int, ...], target: tuple[int, ...]) -> int | None:
    """The axis along which two shapes cannot be broadcast, however many rows a batch has; None if they can."""
    if prediction[:1] == target[:1]:
        many = (1 + max(*prediction, *target),)  # the sample has as few rows as another axis may have numbers
        prediction, target = many + prediction[1:], many + target[1:]
    for back in range(1, min(len(prediction), len(target)) + 1):
        if prediction[-back] != target[-back] and 1 not in (prediction[-back], target[-back]):
            return len(prediction) - back
    return None


def _wanted(y: Tensor) -> str:
    """(batch, 3): the shape of an output for these targets."""
    return f"({', '.join(['batch', *map(str, y.shape[1:])])})"


def refuse(findings: list[Finding], guards: str) -> None:
    """Raise ConfigError if guards are strict and one has tripped; else silence torch's own warning of the same."""
    for finding in findings:
        if guards == "strict" and not finding.note:
            raise ConfigError(f"{finding.message}; {finding.remedy}", "guards=warn")
        if finding.check == "broadcast":
            warnings.filterwarnings("ignore", "Using a target size")  # torch repeats it for every batch size


def check_options(config: Config) -> None:
    """Raise ConfigError for options that exclude each other."""
    if config.explain and config.compile != "none":
        raise ConfigError(f"explain looks between the layers, which compile={config.compile} fuses", "compile=none")


def check_compiler(device: torch.device, wanted: str = "model") -> None:
    """Raise ConfigError where torch.compile would find no C++ compiler."""
    if device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise ConfigError(f"compile={wanted} needs a C++ compiler, and there is none", "compile=none")
