"""Mistakes that the first steps show: a loss that does not begin at chance level, weights that do not change."""

import copy
import math

import torch
from torch import Tensor, nn

from trainer.guards.finding import Finding
from trainer.text import counted

# Untrained logits near 0 give every class the same probability, and a cross-entropy of ln(classes). With the usual
# initialisations networks begin near it (those of torchvision and trainer: below 1.3 times).
FAR_ABOVE = 3.0
FAR_BELOW = 0.1  # guessing never gets this low: the weights or the inputs know the labels

ERRORS = (nn.MSELoss, nn.L1Loss, nn.SmoothL1Loss, nn.HuberLoss)  # losses of numbers that are 0 for the target itself

SAMPLED = 1000  # numbers to look at in each parameter: a step that changes a tensor changes nearly all of it


def sample(model: nn.Module) -> list[tuple[nn.Parameter, Tensor]]:
    """Each parameter that is trained, with copies of about SAMPLED of its numbers, evenly spread."""
    return [(p, _spread(p).clone()) for p in model.parameters() if p.requires_grad]


def _spread(parameter: nn.Parameter) -> Tensor:
    vector = parameter.detach().reshape(-1)
    return vector[:: max(1, len(vector) // SAMPLED)]


def nothing_moved(
    model: nn.Module, before: list[tuple[nn.Parameter, Tensor]], lr: float, num_steps: int
) -> list[Finding]:
    """A model in which no sampled number has changed since `before`, the sample before the first step. One change is
    enough: layers that begin at zero may wait for some steps. One whose parameters are all frozen has none to change:
    the loss has parameters that are trained."""
    if not before or any(not torch.equal(old, _spread(parameter)) for parameter, old in before):
        return []
    what = f"no weight has changed in {counted(num_steps, 'step')}"
    why, remedy = f"the gradients are not 0, but the learning rate is {lr:g}", "trainer lr-find"
    if not any(bool(p.grad.any()) for p in model.parameters() if p.grad is not None):
        why, remedy = "every gradient is 0", "look for an operation that cuts the graph, or for dead units"
    return [Finding("nothing moved", type(model).__name__, what, why, remedy)]


def chance_level(loss_fn: nn.Module, num_classes: int | None) -> float | None:
    """ln(classes), the mean cross-entropy of guessing; None for another loss."""
    if not isinstance(loss_fn, nn.CrossEntropyLoss) or loss_fn.reduction != "mean":
        return None
    return math.log(num_classes) if num_classes and num_classes > 1 else None


def first_loss(loss: float, chance: float | None, num_classes: int | None) -> list[Finding]:
    """A first loss far from `chance`, the loss of guessing. loss: of the first batch, in training mode."""
    if chance is None:
        return []
    what = f"the first is {loss:.4g}; guessing among {num_classes} classes gives ln({num_classes}) = {chance:.4g}"
    if loss > FAR_ABOVE * chance:
        why = "the first outputs are large and wrong: the scale of weights or inputs is too large"
        return [Finding("first loss", "the loss", what, why, "smaller weights in the last layer, inputs of unit scale")]
    if 0 < loss < FAR_BELOW * chance:  # 0: no target of the batch counts
        why = (
            "the model knows the labels before training: its weights are pretrained, or the labels are among the inputs"
        )
        remedy = "if the weights are new, look for the target among the columns"
        return [Finding("first loss", "the loss", what, why, remedy, note=True)]
    return []


def guesses(loss_fn: nn.Module, chance: float | None, y: Tensor) -> list[float]:
    """Losses of guessing: `chance` where it is known; for an error of numbers, that of predicting the mean of targets
    y (rows, …), a number for each row; empty for another loss."""
    if chance is not None:
        return [chance]
    if not isinstance(loss_fn, ERRORS) or type(loss_fn) not in ERRORS or loss_fn.reduction != "mean" or len(y) < 2:
        return []
    each = copy.copy(loss_fn)
    each.reduction = "none"
    with torch.no_grad():
        losses: Tensor = each.forward(y.mean(0, keepdim=True).expand_as(y), y)
    return losses.reshape(len(y), -1).mean(1).tolist()
