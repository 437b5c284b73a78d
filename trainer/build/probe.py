"""Checks before training: one forward and loss on two rows, the sizes of batches, a compiler."""

import copy
import shutil
import warnings

import torch
from torch import Tensor, nn

from trainer.build import sizes
from trainer.build.loss import as_numbers_of
from trainer.build.model import does_not_take
from trainer.config.schema import Config
from trainer.data.batches import TrainBatches
from trainer.data.splits import Splits
from trainer.errors import ConfigError, place
from trainer.guards import structure
from trainer.guards.finding import Finding
from trainer.tasks import losses
from trainer.text import counted, first_line


def probe(model: nn.Module, loss_fn: nn.Module, splits: Splits) -> float:
    """Try one forward and loss on two rows. Raises ConfigError where model, loss and data do not fit together.

    Returns the floating-point operations of a forward, a sample.
    """
    x, y = splits.sample
    name = type(model).__name__
    try:
        prediction, flops = sizes.forward_flops(model, x)
    except Exception as error:
        for finding in structure.elsewhere(model, loss_fn, x, y):
            raise ConfigError(finding.message, finding.remedy) from error
        raise does_not_take(model, x, error) from error
    if not isinstance(prediction, Tensor):
        raise ConfigError(f"model {name} returns a {type(prediction).__name__}, not a tensor")
    check_prediction(prediction, y, splits, name)
    if losses.takes_one_shape(loss_fn):
        splits.shape_targets(tuple(prediction.shape[1:]))
        x, y = splits.sample
    loss_name = type(loss_fn).__name__
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # a guard explains more than torch's warning
            loss = loss_fn(prediction, y)
    except Exception as error:
        text = f"loss {loss_name} on output {tuple(prediction.shape)} and target {tuple(y.shape)}"
        if isinstance(loss_fn, losses.NUMERIC) and not y.is_floating_point():
            text = f"loss {loss_name} needs numbers, but the targets are classes, as loss=auto takes them"
            raise ConfigError(text, as_numbers_of(splits.preprocessing)) from error
        raise ConfigError(f"{text}: {first_line(error)}{place(error)}") from error
    if loss.numel() != 1:
        raise ConfigError(f"loss {loss_name} gives {tuple(loss.shape)}, not one number", "reduction=mean")
    return flops


def check_prediction(prediction: Tensor, y: Tensor, splits: Splits, name: str) -> None:
    """Raise ConfigError where the shapes of prediction and targets do not fit. (A guard reports a broadcast.)"""
    shape, classes = tuple(prediction.shape), splits.facts.classes
    if classes is None:
        try:
            torch.broadcast_shapes(shape, y.shape)
        except RuntimeError:
            text = f"model {name}: output {shape} and target {tuple(y.shape)} do not fit"
            raise ConfigError(text, f"an output of shape {tuple(y.shape)}") from None
    elif not y.is_floating_point() and (len(shape) < 2 or shape[1] != len(classes)):
        text = f"model {name} gives outputs of shape {shape}, the data has {counted(len(classes), 'class')}"
        raise ConfigError(text, f"an output of shape (batch, {len(classes)}): leave its size null in the config")


def refuse(findings: list[Finding], guards: str) -> None:
    """Raise ConfigError if guards are strict and one has tripped; else silence torch's own warning of the same."""
    for finding in findings:
        if guards == "strict" and not finding.note:
            raise ConfigError(f"{finding.message}; {finding.remedy}", "guards=warn")
        if finding.check == "broadcast":
            warnings.filterwarnings("ignore", "Using a target size")  # torch repeats it for every batch size


def check_batches(batches: TrainBatches, model: nn.Module, x: Tensor) -> None:
    """Raise ConfigError where an epoch has no batch, or a batch of one that batch norm cannot train on."""
    if batches.num_batches == 0:
        rows, size = counted(batches.num_rows, "row"), batches.batch_size
        text = f"loader.drop_last=true leaves no batch: {rows}, batches of {size}"
        raise ConfigError(text, f"loader.batch_size={batches.num_rows}")
    smallest = min(batches.batch_size, batches.num_rows - (batches.num_batches - 1) * batches.batch_size)
    has_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if batches.ranks.size > 1:
        check_parts(batches, smallest, model, x)
    elif smallest == 1 and has_norm:
        try:
            with torch.no_grad():
                copy.deepcopy(model).train()(x[:1])
        except ValueError as error:
            if batches.batch_size == 1:
                raise ConfigError("batch norm cannot train on batches of one sample", "loader.batch_size=64") from error
            text = f"the last batch of an epoch has one sample ({batches.num_rows} = n × {batches.batch_size} + 1)"
            raise ConfigError(f"{text}, which batch norm cannot train on", "loader.drop_last=true") from error


def check_parts(batches: TrainBatches, smallest: int, model: nn.Module, x: Tensor) -> None:
    """Raise ConfigError where a rank gets fewer rows of the smallest batch than the model can train on."""
    for rows in sorted(set(batches.ranks.parts(smallest))):
        if rows >= len(x):
            return
        trial = copy.deepcopy(model).train()
        try:
            trial(x[:rows]).sum().backward()
            if not all(bool(p.grad.isfinite().all()) for p in trial.parameters() if p.grad is not None):
                raise ValueError("its gradients are not finite")
        except (ValueError, RuntimeError) as error:
            text = f"{batches.ranks.size} processes leave one of them {counted(rows, 'row')} of a batch of {smallest}"
            reason = f"which {type(model).__name__} cannot train on: {first_line(error)}{place(error)}"
            less = "loader.drop_last=true" if smallest < batches.batch_size else "loader.batch_size=64"
            raise ConfigError(f"{text}, {reason}", less) from error


def check_options(config: Config) -> None:
    """Raise ConfigError for options that exclude each other."""
    if config.explain and config.compile != "none":
        raise ConfigError(f"explain looks between the layers, which compile={config.compile} fuses", "compile=none")


def check_compiler(device: torch.device, wanted: str = "model") -> None:
    """Raise ConfigError where torch.compile would find no C++ compiler."""
    if device.type == "cpu" and not any(map(shutil.which, ("c++", "g++", "clang++"))):
        raise ConfigError(f"compile={wanted} needs a C++ compiler, and there is none", "compile=none")
