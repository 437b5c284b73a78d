"""What is tried before anything is spent: one forward and loss on two rows, the sizes of batches, a compiler."""

import copy
import shutil
import warnings

import torch
from torch import Tensor, nn

from trainer.build import sizes
from trainer.data import labels
from trainer.data.splits import Splits
from trainer.data.windows import TrainBatches
from trainer.errors import ConfigError
from trainer.guards import structure
from trainer.guards.finding import Finding
from trainer.text import first_line


def probe(model: nn.Module, loss_fn: nn.Module, splits: Splits) -> float:
    """One forward and loss on two rows, before anything is spent. Raises ConfigError where model and data do not fit.

    Returns the floating-point operations of forward a sample.
    """
    x, y = splits.sample
    name = type(model).__name__
    try:
        prediction, flops = sizes.forward_flops(model, x)
    except Exception as error:
        for finding in structure.elsewhere(model, loss_fn, x, y):
            raise ConfigError(finding.message, finding.remedy) from error
        reason = first_line(error)
        raise ConfigError(f"model {name} does not take inputs of shape {tuple(x.shape)}: {reason}") from error
    if not isinstance(prediction, Tensor):
        raise ConfigError(f"model {name} returns a {type(prediction).__name__}, not a tensor")
    check_prediction(prediction, y, splits, name)
    if splits.facts.classes is not None:
        ignored = getattr(loss_fn, "ignore_index", -100)
        labels.check_labels(y, len(splits.facts.classes), "the first rows", ignored)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the guard's message says more than torch's warning
        try:
            loss = loss_fn(prediction, y)
        except Exception as error:
            reason = first_line(error)
            text = f"loss {type(loss_fn).__name__} on output {tuple(prediction.shape)} and target {tuple(y.shape)}"
            raise ConfigError(f"{text}: {reason}") from error
    if loss.numel() != 1:
        raise ConfigError(f"loss {type(loss_fn).__name__} gives {tuple(loss.shape)}, not one number", "reduction=mean")
    return flops


def check_prediction(prediction: Tensor, y: Tensor, splits: Splits, name: str) -> None:
    """Raise ConfigError where prediction and targets cannot meet. (That they broadcast is a guard's finding.)"""
    facts = splits.facts
    if facts.classes is not None:
        if not y.is_floating_point() and (prediction.ndim < 2 or prediction.shape[1] != len(facts.classes)):
            count = len(facts.classes)
            text = f"model {name} gives outputs of shape {tuple(prediction.shape)}, the data has {count} classes"
            raise ConfigError(text, f"an output of shape (batch, {count}): leave its size null in the config")
        return
    try:
        torch.broadcast_shapes(prediction.shape, y.shape)
    except RuntimeError:
        shapes = f"output {tuple(prediction.shape)} against target {tuple(y.shape)}"
        raise ConfigError(f"model {name}: {shapes} do not fit", f"an output of shape {tuple(y.shape)}") from None


def refuse(findings: list[Finding], guards: str) -> None:
    """Raise ConfigError where guards are strict and one has tripped; else keep torch from saying the same its way."""
    for finding in findings:
        if guards == "strict" and not finding.note:
            raise ConfigError(finding.message, f"{finding.remedy}; or guards=warn to go on all the same")
        if finding.check == "broadcast":
            warnings.filterwarnings("ignore", "Using a target size")  # torch's word for it, at every batch size anew


def check_batches(batches: TrainBatches, model: nn.Module, x: Tensor) -> None:
    """Raise ConfigError where an epoch has no batch, or a batch of one that batch norm cannot take."""
    if batches.num_batches == 0:
        text = f"loader.drop_last=true leaves no batch: {batches.num_rows} rows, batches of {batches.batch_size}"
        raise ConfigError(text, f"loader.batch_size={batches.num_rows}")
    last = batches.num_rows - (batches.num_batches - 1) * batches.batch_size
    has_norm = any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
    if batches.ranks.size > 1:
        check_parts(batches, min(last, batches.batch_size), model, x)
    elif min(last, batches.batch_size) == 1 and has_norm:
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
            text = f"{batches.ranks.size} processes leave one of them with {rows} rows of a batch of {smallest}"
            reason = f"which {type(model).__name__} cannot train on: {first_line(error)}"
            less = "loader.drop_last=true" if smallest < batches.batch_size else "loader.batch_size=64"
            raise ConfigError(f"{text}, {reason}", f"{less}, or nproc=1") from error


def check_compiler(device: torch.device, wanted: str = "model") -> None:
    """Raise ConfigError where torch.compile would find no C++ compiler."""
    if device.type == "cpu" and not any(shutil.which(name) for name in ("c++", "g++", "clang++")):
        raise ConfigError(f"compile={wanted} needs a C++ compiler, and there is none", "install g++, or compile=none")
