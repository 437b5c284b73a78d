"""Traps that the first steps show: a loss that does not begin at chance, weights that do not move."""

import math

import torch
from torch import Tensor, nn

from trainer.guards.finding import Finding

# Untrained logits near 0 give every class the same probability, and cross-entropy ln(classes). Initialised as usual,
# networks begin within some tenths of it (torchvision's and trainer's own: below 1.3 times); 3 times is another thing.
FAR_ABOVE = 3.0
FAR_BELOW = 0.1  # no guess by chance comes so low: the weights, or the inputs, know the labels

SAMPLED = 1000  # numbers looked at in each parameter: a step that moves a tensor moves nearly all of it


def sample(model: nn.Module) -> list[Tensor]:
    """Up to SAMPLED numbers of each parameter, evenly spread, copied."""
    picked = []
    for parameter in model.parameters():
        flat = parameter.detach().reshape(-1)
        picked.append(flat[:: max(1, len(flat) // SAMPLED)].clone())
    return picked


def nothing_moved(model: nn.Module, before: list[Tensor], lr: float, num_steps: int) -> list[Finding]:
    """Whether not one of the sampled numbers has changed. One that has is enough: zero-initialised layers may stand
    still for some steps."""
    if any(not torch.equal(old, new) for old, new in zip(before, sample(model), strict=True)):
        return []
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    silent = not any(bool(gradient.any()) for gradient in gradients)
    reason = "every gradient is 0" if silent else f"the gradients are not 0, the learning rate is {lr:g}"
    remedy = "trainer lr-find" if not silent else "look for what cuts the graph, or for units that are all dead"
    what = f"no weight has moved in {num_steps} step{'s' * (num_steps != 1)}"
    return [Finding("nothing moved", type(model).__name__, what, reason, remedy)]


def chance_level(loss_fn: nn.Module, num_classes: int | None) -> float | None:
    """ln(classes), the cross-entropy of guessing among them; None where the loss is another one."""
    if not isinstance(loss_fn, nn.CrossEntropyLoss) or loss_fn.reduction != "mean":
        return None
    return math.log(num_classes) if num_classes and num_classes > 1 else None


def first_loss(loss: float, chance: float | None, num_classes: int | None) -> list[Finding]:
    """The loss of the first batch, in training mode, against that of guessing."""
    if chance is None:
        return []
    what = f"the first is {loss:.4g}; guessing among {num_classes} classes gives ln({num_classes}) = {chance:.4g}"
    if loss > FAR_ABOVE * chance:
        why = "the first outputs are large and wrong: weights or inputs of too large a scale"
        return [Finding("first loss", "the loss", what, why, "smaller weights in the last layer, inputs of unit scale")]
    if 0 <= loss < FAR_BELOW * chance:
        why = "the model knows the labels before it has learned: weights trained before, or labels among the inputs"
        remedy = "if the weights are new, look for the target among the columns"
        return [Finding("first loss", "the loss", what, why, remedy, note=True)]
    return []
