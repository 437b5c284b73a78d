"""step() moves a parameter by -lr · .grad, whatever .grad holds."""

from collections.abc import Iterator
from typing import Any

import torch


def show(lr: float, grad: float) -> Iterator[Any]:
    """One parameter, 1 in float64; the gradient of the loss is grad."""
    parameter, optimizer = begin(lr)
    (grad * parameter).backward()
    yield "one step moves it by", move(parameter, optimizer)

    (grad * parameter).backward()
    yield "next, without zero_grad", move(parameter, optimizer)

    parameter, optimizer = begin(lr)
    yield "step before backward", move(parameter, optimizer)


def begin(lr: float) -> tuple[torch.nn.Parameter, torch.optim.SGD]:
    """A new parameter and its optimizer."""
    parameter = torch.nn.Parameter(torch.ones((), dtype=torch.float64))
    return parameter, torch.optim.SGD([parameter], lr=lr)


def move(parameter: torch.nn.Parameter, optimizer: torch.optim.SGD) -> float:
    """Take one step. Returns how far it moves the parameter."""
    before = parameter.item()
    optimizer.step()
    return parameter.item() - before
