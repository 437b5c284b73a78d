"""The size of a model: its parameters, a short description, the operations of a forward."""

from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


def num_parameters(model: nn.Module) -> int:
    """The number of parameters, frozen ones too; a tied one counts once."""
    return sum(p.numel() for p in model.parameters())


def num_trained(model: nn.Module) -> int:
    """The number of parameters that are not frozen."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def describe(model: nn.Module) -> str:
    """Return 'MLP 64-128-10' where all weights are in a chain of linear layers, else the name of the class."""
    name = type(model).__name__
    weighted = [m for m in model.modules() if list(m.parameters(recurse=False))]
    linear = [m for m in weighted if isinstance(m, nn.Linear)]
    is_plain = all(isinstance(m, (nn.Linear, nn.BatchNorm1d, nn.LayerNorm)) for m in weighted)
    if not linear or not is_plain or any(a.out_features != b.in_features for a, b in pairwise(linear)):
        return name
    return f"{name} " + "-".join(map(str, [linear[0].in_features, *(m.out_features for m in linear)]))


def forward_flops(model: nn.Module, call: Callable[[Any], Any], x: Any, num_rows: int) -> tuple[Any, float]:
    """Run one forward in eval mode, without gradients. Returns (prediction, floating-point operations a sample).

    call: the model as a function of its input x, of num_rows rows.

    This counts two operations for every weight of a matrix or kernel each time it is applied, and none for operations
    without weights, such as attention between positions. (torch's own counter takes a fifth of a second to import.)
    """
    total = 0.0

    def count(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal total
        weights = sum(p.numel() for p in module.parameters(recurse=False) if p.ndim > 1)
        if weights and not isinstance(module, (nn.Embedding, nn.EmbeddingBag)):  # these only look up
            total += 2 * weights * num_positions(module, inputs, output)

    was_training = model.training
    with ExitStack() as hooks:
        hooks.callback(model.train, was_training)
        for module in model.modules():
            hooks.enter_context(module.register_forward_hook(count))
        with torch.no_grad():
            model.eval()
            prediction = call(x)
    return prediction, total / max(1, num_rows)


def num_positions(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> int:
    """How often a module applies its weights: the rows of a batch times the pixels or steps of a sequence."""
    tensor = inputs[0] if getattr(module, "transposed", False) else output  # a transposed kernel moves over its input
    tensor = tensor[0] if isinstance(tensor, tuple) else tensor
    if not isinstance(tensor, Tensor) or tensor.ndim < 2:
        return 1
    return tensor.numel() // max(1, tensor.shape[1 if isinstance(module, nn.modules.conv._ConvNd) else -1])
