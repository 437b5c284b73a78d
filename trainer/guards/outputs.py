"""Traps between the prediction and the loss: shapes that broadcast, an activation too many, a graph that is cut."""

import math

import torch
from torch import Tensor, nn

from trainer.guards.finding import Finding

VIEWS = (
    "View",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Clone",
    "ToCopy",
    "UnsafeView",
    "Transpose",
    "T",
    "Select",
    "Slice",
)
SUM_TO_ONE = 1e-3  # how far from 1 rows of probabilities may add up, in bfloat16 too


def broadcast(prediction: Tensor, y: Tensor, name: str) -> list[Finding]:
    """Numbers predicted in another shape than the targets', (B, 1) against (B,), are compared all with all."""
    if not y.is_floating_point() or prediction.shape == y.shape:
        return []
    try:
        together = tuple(torch.broadcast_shapes(prediction.shape, y.shape))
    except RuntimeError:  # an error, and the build says so
        return []
    what = f"output {tuple(prediction.shape)} against target {tuple(y.shape)} broadcast to {together}"
    squeezes = prediction.ndim == y.ndim + 1 and prediction.shape[-1] == 1
    remedy = "return prediction.squeeze(-1)" if squeezes else f"an output of the target's shape, {tuple(y.shape)}"
    return [Finding("broadcast", name, what, "every prediction is compared with every target", remedy)]


def detached(prediction: Tensor, name: str) -> list[Finding]:
    """A prediction that no gradient can flow back from. prediction: made with gradients enabled."""
    if prediction.requires_grad:
        return []
    what = "the prediction is cut off from the parameters"
    remedy = "leave .detach(), .data, .item(), torch.no_grad() and detours through NumPy out of forward"
    return [Finding("detached", name, what, "backward has nowhere to go", remedy)]


def activation(prediction: Tensor, loss_fn: nn.Module, name: str) -> list[Finding]:
    """A softmax before cross-entropy, a sigmoid before BCEWithLogitsLoss, no log-softmax before NLLLoss.

    prediction: (B, classes, …), made with gradients enabled.
    """
    loss = type(loss_fn).__name__
    last = last_function(prediction)
    if isinstance(loss_fn, nn.CrossEntropyLoss) and (last == "Softmax" or _probabilities(prediction)):
        num_classes = prediction.shape[1]
        lowest = math.log(math.e + num_classes - 1) - 1  # one-hot probabilities taken for logits
        why = f"{loss} applies log-softmax itself: with {num_classes} classes the loss stays above {lowest:.2f}"
        what = "its outputs are probabilities: a softmax comes before the loss"
        return [Finding("activation", name, what, why, "return the logits: leave softmax out of forward")]
    if isinstance(loss_fn, nn.BCEWithLogitsLoss) and last == "Sigmoid":
        lowest = math.log1p(math.exp(-1))  # a sigmoid of 1 taken for a logit
        why = f"{loss} applies the sigmoid itself: for targets of 1 the loss stays above {lowest:.2f}"
        what = "its outputs went through a sigmoid before the loss"
        return [Finding("activation", name, what, why, "return the logits: leave sigmoid out of forward")]
    if isinstance(loss_fn, nn.NLLLoss) and not _probabilities(prediction.detach().exp()):
        what = "its outputs are not log-probabilities"
        why = f"{loss} takes them for such: the loss falls without end as they grow"
        return [Finding("activation", name, what, why, "loss=cross_entropy, or end forward in log_softmax(…, dim=1)")]
    return []


def _probabilities(prediction: Tensor) -> bool:
    values = prediction.detach().float()
    if values.ndim < 2 or values.shape[1] < 2 or bool((values < 0).any()):
        return False
    return bool(((values.sum(1) - 1).abs() < SUM_TO_ONE).all())


def last_function(prediction: Tensor) -> str:
    """The name of the last operation that is not a view or copy, by autograd's graph: Softmax, Sigmoid, Addmm, …"""
    node = prediction.grad_fn
    while node is not None:
        name = node.name().partition("Backward")[0]
        if name not in VIEWS:
            return name
        node = node.next_functions[0][0]
    return ""
