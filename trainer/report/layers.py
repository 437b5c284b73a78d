"""The layers of a model in the order in which they run, with what comes out of each."""

from typing import Any

import torch
from torch import Tensor, nn

from trainer.disk.outcome import Layer


@torch.no_grad()
def layers(model: nn.Module, x: Tensor) -> list[Layer]:
    """Every module without modules in it, and every other one that has parameters of its own.

    x: a few samples on the model's device. Runs forward once, in eval mode and without what torch.compile made of it;
    leaves the model in eval mode. A layer that did not run comes last, without an output. Tied parameters count once.
    """
    named = model.named_modules()
    parts = {m: name for name, m in named if not list(m.children()) or list(m.parameters(recurse=False))}
    shapes: dict[nn.Module, list[int] | None] = {}

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        shapes.setdefault(module, list(output.shape[1:]) if isinstance(output, Tensor) else None)

    handles = [part.register_forward_hook(note) for part in parts if part is not model]
    try:
        output = model.eval().forward(x)
    finally:
        for handle in handles:
            handle.remove()
    if model in parts:
        note(model, x, output)
    seen: set[nn.Parameter] = set()
    rows = []
    for part in [*shapes, *(part for part in parts if part not in shapes)]:
        own = [p for p in part.parameters(recurse=False) if p not in seen]
        seen.update(own)
        details = " ".join(part.extra_repr().split())
        kind = f"{type(part).__name__}({details})" if details else type(part).__name__
        rows.append(Layer(parts[part], kind, shapes.get(part), sum(p.numel() for p in own)))
    return rows
