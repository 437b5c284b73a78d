"""What the data says about a model's inputs and outputs, and what a model says about itself."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


def num_parameters(model: nn.Module) -> int:
    """Trainable parameters, each tied one counted once."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def describe(model: nn.Module) -> str:
    """'MLP 64-128-10' where all weights are in a chain of linear layers, else the class's name."""
    name = type(model).__name__
    weighted = [m for m in model.modules() if list(m.parameters(recurse=False))]
    linear = [m for m in weighted if isinstance(m, nn.Linear)]
    chained = all(a.out_features == b.in_features for a, b in pairwise(linear))
    others = [m for m in weighted if not isinstance(m, (nn.Linear, nn.BatchNorm1d, nn.LayerNorm))]
    if not linear or others or not chained:
        return name
    return f"{name} " + "-".join(str(size) for size in [linear[0].in_features, *(m.out_features for m in linear)])


def forward_flops(model: nn.Module, x: Tensor) -> tuple[Tensor, float]:
    """(prediction, floating-point operations a sample) of one forward in eval mode, without gradients.

    Counted are two operations for every weight of a matrix or kernel, wherever it is applied; not counted is what has
    no weights, such as attention between positions. (torch's own counter takes a fifth of a second to import.)
    """
    total = 0.0

    def count(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        nonlocal total
        weights = sum(p.numel() for p in module.parameters(recurse=False) if p.ndim > 1)
        if weights and not isinstance(module, (nn.Embedding, nn.EmbeddingBag)):  # these only look up
            total += 2 * weights * num_positions(module, given, output)

    was_training = model.training
    model.eval()
    handles = [module.register_forward_hook(count) for module in model.modules()]
    try:
        with torch.no_grad():
            prediction = model(x)
    finally:
        for handle in handles:
            handle.remove()
        model.train(was_training)
    return prediction, total / max(1, len(x))


def num_positions(module: nn.Module, given: tuple[Any, ...], output: Any) -> int:
    """How often a module applies its weights: the rows of a batch times the pixels or steps of a sequence."""
    kernel = isinstance(module, nn.modules.conv._ConvNd)
    met = given[0] if getattr(module, "transposed", False) else output  # a transposed kernel goes over its input
    met = met[0] if isinstance(met, tuple) else met
    if not isinstance(met, Tensor) or met.ndim < 2:
        return 1
    return met.numel() // max(1, met.shape[1 if kernel else -1])
