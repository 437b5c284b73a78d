"""A model as torch's own layers in a row, and those as Python: what loads the weights without the model's class."""

from collections import OrderedDict

import torch
from torch import Tensor, nn


def chain(model: nn.Module) -> nn.Sequential | None:
    """The children of a model one after another, under the same names, flattened first for a linear layer; None where
    they are more than layers in a row. Whether the model is no more than that, only numbers tell: `is_chain`."""
    children = list(model.named_children())
    leaves = [layer for layer in model.modules() if layer is not model and type(layer) is not nn.Sequential]
    if not leaves or any(
        not type(layer).__module__.startswith("torch.nn.") or any(layer.children()) for layer in leaves
    ):
        return None
    flat = [("flatten", nn.Flatten())] if isinstance(leaves[0], nn.Linear) else []
    return nn.Sequential(OrderedDict([*flat, *children])).eval()


@torch.no_grad()
def is_chain(model: nn.Module, x: Tensor) -> bool:
    """Whether the chain gives the very numbers that the model gives for its inputs x."""
    layers = chain(model)
    try:
        return layers is not None and torch.equal(layers(x), model(x))
    except RuntimeError:  # layers in another order than that of their definition
        return False


def source(module: nn.Module) -> str:
    """Python that makes a chain anew."""
    if type(module) is not nn.Sequential:
        return f"nn.{module!r}"
    parts = [(name, source(child)) for name, child in module.named_children()]
    if all(name == str(place) for place, (name, _) in enumerate(parts)):
        return f"nn.Sequential({', '.join(text for _, text in parts)})"
    return f"nn.Sequential(OrderedDict({', '.join(f'{name}={text}' for name, text in parts)}))"
