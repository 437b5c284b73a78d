"""A model as a chain of torch's layers, and the Python that builds it: loads the weights without the model's class."""

import ast
import keyword
from collections import OrderedDict

import torch
from torch import Tensor, nn


def chain(model: nn.Module) -> nn.Sequential | None:
    """The children of a model one after another, under the same names; the input of a linear layer is flattened first.

    None where they are not all layers of torch, or cannot be written as code. Whether the model computes the same is
    for `is_chain` to test.
    """
    leaves = [layer for layer in model.modules() if layer is not model and type(layer) is not nn.Sequential]
    if not leaves or any(any(leaf.children()) or not type(leaf).__module__.startswith("torch.nn.") for leaf in leaves):
        return None
    names = [name for module in model.modules() for name, _ in module.named_children()]
    if not all(map(_is_call, map(repr, leaves))) or not all(map(_is_name, names)):
        return None
    flatten = [("flatten", nn.Flatten())] if isinstance(leaves[0], nn.Linear) else []
    return nn.Sequential(OrderedDict([*flatten, *model.named_children()])).eval()


@torch.no_grad()
def is_chain(model: nn.Module, x: Tensor) -> bool:
    """Whether the chain and the model give exactly the same numbers for the model's inputs x."""
    layers = chain(model)
    try:
        return layers is not None and torch.equal(layers(x), model(x))
    except Exception:  # the model calls its layers in a different order, or a layer returns several tensors
        return False


def _is_call(text: str) -> bool:
    """Whether what torch prints of a layer is a call with plain values. A stranger's run may hold any text in them."""
    try:
        call = ast.parse(text, mode="eval").body
        for value in [*call.args, *(word.value for word in call.keywords)]:  # type: ignore[attr-defined]
            ast.literal_eval(value)
    except (SyntaxError, ValueError, AttributeError):
        return False
    return isinstance(call, ast.Call) and isinstance(call.func, ast.Name)


def _is_name(name: str) -> bool:
    return name.isdecimal() or (name.isidentifier() and not keyword.iskeyword(name))


def source(module: nn.Module) -> str:
    """Python code that builds a chain."""
    if type(module) is not nn.Sequential:
        return f"nn.{module!r}"
    parts = [(name, source(child)) for name, child in module.named_children()]
    if all(name == str(place) for place, (name, _) in enumerate(parts)):
        return f"nn.Sequential({', '.join(text for _, text in parts)})"
    return f"nn.Sequential(OrderedDict({', '.join(f'{name}={text}' for name, text in parts)}))"
