"""Mistakes between prediction and loss: shapes that broadcast, an unwanted activation, another axis."""

import math

import torch
from torch import Tensor, nn

from trainer.guards.finding import Finding

RESHAPES = ("View", "UnsafeView", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "T", "Permute")
VIEWS = (*RESHAPES, "Select", "Slice", "Clone", "ToCopy")
SUM_TO_ONE = 1e-3  # how far the sum of a row of probabilities may be from 1, in bfloat16 too
SUM_TO_ZERO = 1e-4  # how far a sum of gradients may be from 0, as a share of the largest gradient


def broadcast(prediction: Tensor, y: Tensor, name: str, *, own_loss: bool = False) -> list[Finding]:
    """Predicted numbers of another shape than the targets, as (B, 1) and (B,): the loss compares all with all.

    own_loss: whether the loss is the user's: it may mean several predictions for each target, as quantiles.
    """
    if not y.is_floating_point() or prediction.shape == y.shape:
        return []
    try:
        together = tuple(torch.broadcast_shapes(prediction.shape, y.shape))
    except RuntimeError:  # the build reports this error
        return []
    if own_loss and together == tuple(prediction.shape):
        return []
    what = f"output {tuple(prediction.shape)} against target {tuple(y.shape)} broadcast to {together}"
    squeezes = prediction.ndim == y.ndim + 1 and prediction.shape[-1] == 1
    fix = "return prediction.squeeze(-1), or a target of shape (1,) from the Dataset"
    remedy = fix if squeezes else f"an output of the target's shape, {tuple(y.shape)}"
    return [Finding("broadcast", name, what, "every prediction is compared with every target", remedy)]


def activation(prediction: Tensor, loss_fn: nn.Module, name: str, axis: int = 1) -> list[Finding]:
    """A softmax before cross-entropy, a sigmoid before BCEWithLogitsLoss, no log-softmax before NLLLoss.

    prediction: computed with gradients enabled, the classes along `axis`; 0 is the batch.
    """
    loss, last = type(loss_fn).__name__, last_function(prediction)
    values = prediction.detach().float()
    if isinstance(loss_fn, nn.CrossEntropyLoss):
        along, logs = probability_axes(values), probability_axes(values.exp())
        if last == "Softmax" or axis in along:
            num_classes = prediction.shape[axis]
            lowest = math.log(math.e + num_classes - 1) - 1  # with one-hot probabilities as logits
            why = f"{loss} applies log-softmax itself: with {num_classes} classes the loss stays above {lowest:.2f}"
            what = f"its outputs are probabilities{_elsewhere(along, axis)}: a softmax comes before the loss"
            return [Finding("activation", name, what, why, "return the logits: remove softmax from forward")]
        if last == "LogSoftmax" and logs and axis not in logs:
            what = f"its outputs are log-probabilities{_elsewhere(logs, axis)}"
            why = f"{loss} applies log-softmax along the classes itself"
            return [Finding("activation", name, what, why, "return the logits: remove log_softmax from forward")]
    if isinstance(loss_fn, nn.BCEWithLogitsLoss) and last == "Sigmoid":
        lowest = math.log1p(math.exp(-1))  # with a sigmoid of 1 as the logit
        why = f"{loss} applies the sigmoid itself: for targets of 1 the loss stays above {lowest:.2f}"
        what = "its outputs went through a sigmoid before the loss"
        return [Finding("activation", name, what, why, "return the logits: remove sigmoid from forward")]
    if isinstance(loss_fn, nn.NLLLoss) and axis not in (logs := probability_axes(values.exp())):
        what = f"its outputs are log-probabilities{_elsewhere(logs, axis)}"
        what = what if logs else "its outputs are not log-probabilities"
        why = f"{loss} treats them as log-probabilities of the classes, so the loss can fall without bound"
        remedy = f"loss=cross_entropy, or end forward in log_softmax(…, dim={axis})"
        return [Finding("activation", name, what, why, remedy)]
    return []


def _elsewhere(axes: list[int], axis: int) -> str:
    """Where probabilities are, if they are not along the axis of the classes."""
    return f" along axis {axes[0]}, but the classes are along axis {axis}" if axes and axis not in axes else ""


def probability_axes(values: Tensor) -> list[int]:
    """The axes along which numbers are probabilities: at least 0, with a sum of 1."""
    if not bool((values >= 0).all()):
        return []
    axes = [axis for axis, size in enumerate(values.shape) if size > 1]
    return [axis for axis in axes if bool(((values.sum(axis) - 1).abs() < SUM_TO_ONE).all())]


def other_axis(gradient: Tensor, axis: int, loss: str) -> list[Finding]:
    """A loss that reads the classes along another axis than they are: (N, T, C) as if it were (N, C, T).

    gradient: of the loss by its prediction. That of a cross-entropy adds up to 0 along the axis that it reads: softmax
    minus target. axis: the one of the classes; 0 is the batch.
    """
    close = SUM_TO_ZERO * gradient.abs().max()
    read = [other for other in range(1, gradient.ndim) if bool((gradient.sum(other).abs() <= close).all())]
    if not read or axis in read or not bool(gradient.any()):
        return []
    what = f"it reads the classes along axis {read[0]}, but the model gives them along axis {axis}"
    why = "it compares positions with each other instead of classes"
    remedy = f"loss=cross_entropy, or prediction.movedim({axis}, 1) in the loss"
    return [Finding("class axis", loss, what, why, remedy)]


def last_function(prediction: Tensor) -> str:
    """The last operation in autograd's graph that is not a view or copy: Softmax, Sigmoid, Addmm, …"""
    node = prediction.grad_fn
    while node is not None:
        name = node.name().partition("Backward")[0]
        if name not in VIEWS:
            return name
        node = node.next_functions[0][0]
    return ""
