"""The guards that run before training, on a built model and two rows."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.data import tree
from trainer.data.tree import Tree
from trainer.guards import inputs, outputs, structure
from trainer.guards.finding import Finding
from trainer.tasks import losses
from trainer.tasks.calls import Call, Loss
from trainer.tasks.fit import Fit
from trainer.tasks.model_loss import OfModel


@dataclass
class Look:
    """One forward: its prediction, with a graph, and of the first layer with parameters and of all others that get an
    input of the model as it is (name, layer, detached input)."""

    prediction: Tree
    layers: list[tuple[str, nn.Module, Tensor]] = field(default_factory=list)


@contextmanager
def in_eval(*modules: nn.Module) -> Iterator[None]:
    """Modules in eval mode, so that no statistics change, and then in the modes that they had."""
    modes = {part: part.training for module in modules for part in module.modules()}
    for module in modules:
        module.eval()
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def look(model: nn.Module, call: Call, x: Tree) -> Look:
    """Run one forward with gradients, so that the output has a graph."""
    seen, given = Look(x), {leaf.data_ptr() for leaf in tree.leaves(x)}

    def keep(path: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...]) -> None:
            if args and isinstance(args[0], Tensor) and (not seen.layers or args[0].data_ptr() in given):
                seen.layers.append((path, module, args[0].detach()))

        return hook

    layers = [(path, m) for path, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))]
    handles = [module.register_forward_pre_hook(keep(path or type(model).__name__)) for path, module in layers]
    try:
        with in_eval(model), torch.enable_grad():
            seen.prediction = call(x)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def before_training(
    model: nn.Module,
    loss_fn: nn.Module,
    optimizer: Optimizer,
    sample: tuple[Tree, Tree],
    call: Call,
    fit: Fit,
    loss: Loss,
    *,
    is_standardised: bool = False,
) -> list[Finding]:
    """All findings before the first step. sample: inputs and targets of two rows, on the model's device; call, fit,
    loss: see TrainState. is_standardised: whether the inputs have unit scale over the training rows, whatever these two
    rows hold."""
    x, y = sample
    name = type(model).__name__
    seen = look(model, call, x)
    findings = structure.elsewhere(model, loss_fn, x, y) + structure.frozen(model)
    findings += structure.outside_optimizer(model, optimizer) + structure.teacher(model, loss_fn)
    output = fit(seen.prediction)
    if isinstance(output, Tensor) and isinstance(y, Tensor):
        findings += outputs.broadcast(output, y, name, own_loss=not losses.takes_one_shape(loss_fn))
        findings += outputs.activation(output, loss_fn, name, fit.class_axis)
        is_own = not losses.is_torchs(type(loss_fn)) and not isinstance(loss_fn, OfModel)
        if output.ndim > 2 and not y.is_floating_point() and is_own:
            gradient = _gradient(output, seen.prediction, loss_fn, loss, sample)
            findings += outputs.other_axis(gradient, fit.class_axis, type(loss_fn).__name__)
    same = isinstance(x, Tensor) and seen.layers and torch.equal(seen.layers[0][2].flatten(1), x.flatten(1))
    if not (is_standardised and same):
        findings += [finding for path, layer, given in seen.layers for finding in inputs.unscaled(layer, given, path)]
    return findings


def _gradient(output: Tensor, prediction: Tree, loss_fn: nn.Module, loss: Loss, sample: tuple[Tree, Tree]) -> Tensor:
    """The gradient of the loss by a model's output; 0 where it does not depend on it."""
    with in_eval(loss_fn), torch.enable_grad():
        value = loss(prediction, sample[1], sample[0]).reshape(-1)[0]
        if not (output.requires_grad and value.requires_grad):
            return torch.zeros_like(output)
        (found,) = torch.autograd.grad(value, output, allow_unused=True)
    return torch.zeros_like(output) if found is None else found
