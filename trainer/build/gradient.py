"""Whether the loss of a run has a gradient: without one there is nothing to step along."""

import copy

import torch
from torch import nn

from trainer.build.probe import Probed
from trainer.data import tree
from trainer.data.tree import Tree
from trainer.errors import ConfigError
from trainer.guards.before import in_eval

HINT = "no .detach(), .item(), argmax or torch.no_grad() between the weights and the loss"


def check(model: nn.Module, probed: Probed, sample: tuple[Tree, Tree]) -> None:
    """Raise ConfigError where the loss of the sample depends on no trainable parameter, in eval and in training
    mode."""
    with in_eval(model, probed.loss_fn):
        missing = _missing(model, probed, sample)
    if missing is None:
        return
    try:
        missing = _missing(copy.deepcopy(model).train(), probed, sample)
    except Exception:  # a model that cannot be copied, or two rows that it cannot train on
        return
    if missing is not None:
        raise ConfigError(f"{missing}, so nothing can be trained", HINT)


def _missing(model: nn.Module, probed: Probed, sample: tuple[Tree, Tree]) -> str | None:
    """What has no gradient, in words; None if the loss has one."""
    x, y = sample
    with torch.enable_grad(), torch.random.fork_rng([]):
        prediction = probed.around(model, x)(x)
        loss = probed.loss(prediction, y, x)
    if loss.requires_grad:
        return None
    if any(leaf.requires_grad for leaf in tree.leaves(prediction)):
        return f"the loss {type(probed.loss_fn).__name__} has no gradient by the outputs of {type(model).__name__}"
    return f"the outputs of {type(model).__name__} have no gradient by its parameters"
