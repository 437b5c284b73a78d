"""The layers of a model in the order in which they run, with their output shapes."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from trainer.disk.outcome import Layer
from trainer.tasks.loss_modules import num_trained


@torch.no_grad()
def layers(model: nn.Module, call: Callable[[Any], Any], x: Any, loss_fn: nn.Module | None = None) -> list[Layer]:
    """Every module without children, and every other module with direct parameters.

    call: the model as a function of its input; x: a few samples on its device; loss_fn: its modules whose parameters
    are trained with the model come last. Runs forward once, in eval mode and not compiled; leaves the model in eval
    mode. A layer that did not run comes after those that did, without an output. Tied parameters count once. Of a layer
    that gives several tensors, the shape is that of the first.
    """
    named = model.named_modules()
    names = {m: name for name, m in named if not list(m.children()) or list(m.parameters(recurse=False))}
    shapes: dict[nn.Module, list[int] | None] = {}

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        first = _first(output)
        shapes.setdefault(module, list(first.shape[1:]) if first is not None else None)

    handles = [module.register_forward_hook(note) for module in names if module is not model]
    model.eval()
    compiled, model._compiled_call_impl = model._compiled_call_impl, None
    try:
        output = call(x)
    finally:
        model._compiled_call_impl = compiled
        for handle in handles:
            handle.remove()
    if model in names:
        note(model, x, output)
    for name, module in loss_fn.named_modules(prefix="loss") if loss_fn is not None else ():
        if num_trained(module, recurse=False):
            names.setdefault(module, name)
    counted: set[nn.Parameter] = set()
    rows = []
    for module in dict.fromkeys([*shapes, *names]):
        parameters = set(module.parameters(recurse=False)) - counted
        counted |= parameters
        details = " ".join(module.extra_repr().split())
        kind = f"{type(module).__name__}({details})" if details else type(module).__name__
        rows.append(Layer(names[module], kind, shapes.get(module), sum(p.numel() for p in parameters)))
    return rows


def _first(output: Any) -> Tensor | None:
    """The first tensor in what a layer gives."""
    if isinstance(output, Tensor):
        return output
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, (tuple, list)) else ()
    return next((found for part in parts if (found := _first(part)) is not None), None)
