"""The guards that run before training, on a built model and two rows."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.guards import inputs, outputs, structure
from trainer.guards.finding import Finding


@dataclass
class Look:
    """One forward: its prediction, with a graph, and the first layer with parameters, its name and detached input."""

    prediction: Tensor
    path: str = ""
    layer: nn.Module | None = None
    given: Tensor | None = None


def look(model: nn.Module, x: Tensor) -> Look:
    """Run one forward, in eval mode so that no statistics change, with gradients so that the output has a graph."""
    seen = Look(x)

    def keep(path: str) -> Any:
        def hook(module: nn.Module, given: tuple[Any, ...]) -> None:
            if seen.layer is None and given and isinstance(given[0], Tensor):
                seen.path, seen.layer, seen.given = path, module, given[0].detach()

        return hook

    layers = [(path, m) for path, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))]
    handles = [module.register_forward_pre_hook(keep(path or type(model).__name__)) for path, module in layers]
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.enable_grad():
            seen.prediction = model(x)
    finally:
        for module, mode in modes.items():
            module.training = mode
        for handle in handles:
            handle.remove()
    return seen


def before_training(
    model: nn.Module,
    loss_fn: nn.Module,
    optimizer: Optimizer,
    sample: tuple[Tensor, Tensor],
    *,
    is_standardised: bool = False,
) -> list[Finding]:
    """All findings before the first step. sample: inputs and targets of two rows, on the model's device.
    is_standardised: whether the inputs have unit scale over the training rows, whatever these two rows hold."""
    x, y = sample
    name = type(model).__name__
    if findings := structure.elsewhere(model, loss_fn, x, y):
        return findings  # forward would raise
    seen = look(model, x)
    findings = structure.frozen(model) + structure.outside_optimizer(model, optimizer)
    findings += outputs.detached(seen.prediction, name) + outputs.broadcast(seen.prediction, y, name)
    findings += outputs.activation(seen.prediction, loss_fn, name)
    if seen.layer is None or seen.given is None:
        return findings
    if not (is_standardised and torch.equal(seen.given.flatten(1), x.flatten(1))):
        findings += inputs.unscaled(seen.layer, seen.given, seen.path)
    return findings
