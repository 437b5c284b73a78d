"""The layers of a model in the order in which they run, with their output shapes."""

from typing import Any

import torch
from torch import Tensor, nn

from trainer.disk.outcome import Layer


@torch.no_grad()
def layers(model: nn.Module, x: Tensor) -> list[Layer]:
    """Every module without children, and every other module with direct parameters.

    x: a few samples on the model's device. Runs forward once, in eval mode and not compiled; leaves the model in eval
    mode. A layer that did not run comes last, without an output. Tied parameters count once.
    """
    named = model.named_modules()
    names = {m: name for name, m in named if not list(m.children()) or list(m.parameters(recurse=False))}
    shapes: dict[nn.Module, list[int] | None] = {}

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        shapes.setdefault(module, list(output.shape[1:]) if isinstance(output, Tensor) else None)

    handles = [module.register_forward_hook(note) for module in names if module is not model]
    try:
        output = model.eval().forward(x)
    finally:
        for handle in handles:
            handle.remove()
    if model in names:
        note(model, x, output)
    counted: set[nn.Parameter] = set()
    rows = []
    for module in dict.fromkeys([*shapes, *names]):
        parameters = set(module.parameters(recurse=False)) - counted
        counted |= parameters
        details = " ".join(module.extra_repr().split())
        kind = f"{type(module).__name__}({details})" if details else type(module).__name__
        rows.append(Layer(names[module], kind, shapes.get(module), sum(p.numel() for p in parameters)))
    return rows
