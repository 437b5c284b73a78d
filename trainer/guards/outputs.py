"""Mistakes between prediction and loss: shapes that broadcast, an unwanted activation, a cut graph."""

import math

import torch
from torch import Tensor, nn

from trainer.guards.finding import Finding

RESHAPES = ("View", "UnsafeView", "Reshape", "Squeeze", "Unsqueeze", "Transpose", "T")
VIEWS = (*RESHAPES, "Select", "Slice", "Clone", "ToCopy")
SUM_TO_ONE = 1e-3  # how far the sum of a row of probabilities may be from 1, in bfloat16 too


def broadcast(prediction: Tensor, y: Tensor, name: str) -> list[Finding]:
    """Predicted numbers of another shape than the targets, as (B, 1) and (B,): the loss compares all with all."""
    if not y.is_floating_point() or prediction.shape == y.shape:
        return []
    try:
        together = tuple(torch.broadcast_shapes(prediction.shape, y.shape))
    except RuntimeError:  # the build reports this error
        return []
    what = f"output {tuple(prediction.shape)} against target {tuple(y.shape)} broadcast to {together}"
    squeezes = prediction.ndim == y.ndim + 1 and prediction.shape[-1] == 1
    fix = "return prediction.squeeze(-1), or a target of shape (1,) from the Dataset"
    remedy = fix if squeezes else f"an output of the target's shape, {tuple(y.shape)}"
    return [Finding("broadcast", name, what, "every prediction is compared with every target", remedy)]


def detached(prediction: Tensor, name: str) -> list[Finding]:
    """A prediction without a graph. prediction: computed with gradients enabled."""
    if prediction.requires_grad:
        return []
    what = "the prediction is cut off from the parameters"
    remedy = "remove .detach(), .data, .item(), torch.no_grad() and NumPy operations from forward"
    return [Finding("detached", name, what, "backward cannot compute any gradient", remedy)]


def activation(prediction: Tensor, loss_fn: nn.Module, name: str) -> list[Finding]:
    """A softmax before cross-entropy, a sigmoid before BCEWithLogitsLoss, no log-softmax before NLLLoss.

    prediction: (B, classes, …), computed with gradients enabled.
    """
    loss = type(loss_fn).__name__
    last = last_function(prediction)
    if isinstance(loss_fn, nn.CrossEntropyLoss) and (last == "Softmax" or _probabilities(prediction)):
        num_classes = prediction.shape[1]
        lowest = math.log(math.e + num_classes - 1) - 1  # with one-hot probabilities as logits
        why = f"{loss} applies log-softmax itself: with {num_classes} classes the loss stays above {lowest:.2f}"
        what = "its outputs are probabilities: a softmax comes before the loss"
        return [Finding("activation", name, what, why, "return the logits: remove softmax from forward")]
    if isinstance(loss_fn, nn.BCEWithLogitsLoss) and last == "Sigmoid":
        lowest = math.log1p(math.exp(-1))  # with a sigmoid of 1 as the logit
        why = f"{loss} applies the sigmoid itself: for targets of 1 the loss stays above {lowest:.2f}"
        what = "its outputs went through a sigmoid before the loss"
        return [Finding("activation", name, what, why, "return the logits: remove sigmoid from forward")]
    if isinstance(loss_fn, nn.NLLLoss) and not _probabilities(prediction.detach().exp()):
        what = "its outputs are not log-probabilities"
        why = f"{loss} treats them as log-probabilities, so the loss can fall without bound"
        return [Finding("activation", name, what, why, "loss=cross_entropy, or end forward in log_softmax(…, dim=1)")]
    return []


def _probabilities(prediction: Tensor) -> bool:
    values = prediction.detach().float()
    if values.ndim < 2 or values.shape[1] < 2:
        return False
    return bool((values >= 0).all() and ((values.sum(1) - 1).abs() < SUM_TO_ONE).all())


def last_function(prediction: Tensor) -> str:
    """The last operation in autograd's graph that is not a view or copy: Softmax, Sigmoid, Addmm, …"""
    node = prediction.grad_fn
    while node is not None:
        name = node.name().partition("Backward")[0]
        if name not in VIEWS:
            return name
        node = node.next_functions[0][0]
    return ""
