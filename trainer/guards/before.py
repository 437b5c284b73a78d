"""What is known before anything is trained: the guards over a built model and two rows."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.guards import inputs, outputs, structure
from trainer.guards.finding import Finding


@dataclass
class Look:
    """One forward, watched: its prediction, with a graph, and the first layer with parameters and what it was given."""

    prediction: Tensor
    path: str = ""
    layer: nn.Module | None = None
    given: Tensor | None = None


def look(model: nn.Module, x: Tensor) -> Look:
    """Forward in eval mode, so that no statistics move; with gradients, so that the prediction has a graph."""
    seen = Look(x)

    def keep(path: str) -> Any:
        def hook(module: nn.Module, given: tuple[Any, ...]) -> None:
            if seen.layer is None and given and isinstance(given[0], Tensor):
                seen.path, seen.layer, seen.given = path, module, given[0].detach()

        return hook

    own = [(path, m) for path, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))]
    handles = [module.register_forward_pre_hook(keep(path or type(model).__name__)) for path, module in own]
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.enable_grad():
            seen.prediction = model(x)
    finally:
        for module, mode in training.items():
            module.training = mode
        for handle in handles:
            handle.remove()
    return seen


def before_training(
    model: nn.Module, loss_fn: nn.Module, optimizer: Optimizer, sample: tuple[Tensor, Tensor]
) -> list[Finding]:
    """All that two rows on the model's device show, before the first step."""
    x, y = sample
    name = type(model).__name__
    found = structure.elsewhere(model, loss_fn, x, y)
    if found:
        return found  # forward would not get through
    seen = look(model, x)
    found = structure.frozen(model) + structure.outside_optimizer(model, optimizer)
    found += outputs.detached(seen.prediction, name) + outputs.broadcast(seen.prediction, y, name)
    found += outputs.activation(seen.prediction, loss_fn, name)
    if seen.layer is not None and seen.given is not None:
        found += inputs.unscaled(seen.layer, seen.given, seen.path)
    return found
