"""c = ab, d = c + a, L = d²: backward walks the graph and frees it."""

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


def show(a: float, b: float, h: float) -> Iterator[Any]:
    """Gradients at (a, b) in float64; finite differences with step h."""
    leaf_a, leaf_b, c, d, loss = forward(a, b)
    yield from tree(loss.grad_fn)
    yield "c, d, L", [c.item(), d.item(), loss.item()]
    loss.backward()
    yield "dL/da, dL/db", [gradient(leaf_a), gradient(leaf_b)]
    at = forward(a, b)[-1].item()
    beside = [forward(a + h, b)[-1].item(), forward(a, b + h)[-1].item()]
    yield "finite differences", [(value - at) / h for value in beside]

    forward_again = (leaf_a * leaf_b + leaf_a).square()
    forward_again.backward()
    yield ".grad of a, after 2 calls", gradient(leaf_a)

    *_, c, _, loss = forward(a, b)
    c.retain_grad()
    loss.backward()
    retained = gradient(c)
    *_, c, _, loss = forward(a, b)
    loss.backward()
    yield "dL/dc: plain, retained", [gradient(c), retained]

    inputs = [torch.tensor(x, requires_grad=True) for x in (1.0, -1.0)]
    names = ", ".join(name(branch(x).grad_fn) for x in inputs)
    yield "if x > 0: graph at 1, -1", names

    yield "backward twice", twice(forward(a, b)[-1], retain_graph=False)
    yield "... with retain_graph", twice(forward(a, b)[-1], retain_graph=True)


def forward(a: float, b: float) -> tuple[Tensor, ...]:
    """Leaves a and b, then c, d and L."""
    leaf_a = torch.tensor(a, dtype=torch.float64, requires_grad=True)
    leaf_b = torch.tensor(b, dtype=torch.float64, requires_grad=True)
    c = leaf_a * leaf_b
    d = c + leaf_a
    return leaf_a, leaf_b, c, d, d.square()


def branch(x: Tensor) -> Tensor:
    """An `if` in forward: the graph is the branch that was taken."""
    return x * 2 if x > 0 else -x


def twice(loss: Tensor, *, retain_graph: bool) -> str:
    """The outcome of a second backward over one graph."""
    loss.backward(retain_graph=retain_graph)
    try:
        loss.backward()
    except RuntimeError as error:
        return type(error).__name__
    return "works"


def gradient(tensor: Tensor) -> float | None:
    """.grad as a number, or None."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about an intermediate's .grad
        return None if tensor.grad is None else tensor.grad.item()


def tree(node: Any, indent: str = "") -> Iterator[str]:
    """Yield the grad_fn names from the loss to the leaves, one a line."""
    yield indent + type(node).__name__
    for parent, _ in node.next_functions:
        if parent is not None:
            yield from tree(parent, indent + "  ")


def name(node: Any) -> str:
    """Return 'Mul' for a MulBackward0."""
    return type(node).__name__.removesuffix("0").removesuffix("Backward")
