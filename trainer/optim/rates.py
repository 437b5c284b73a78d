"""Learning rates that a fused optimizer reads from the device. A number of Python is fixed in a CUDA graph; a number on
the device may be another at each replay. Schedulers and listeners still see the numbers of Python."""

from types import MethodType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def are_wanted(device: torch.device) -> bool:
    """Whether a step on this device may become a graph."""
    return device.type == "cuda"


def on_device(optimizer: Optimizer) -> None:
    """Let the steps of a fused optimizer read the learning rate of each group from memory of its device, as float32."""
    optimizer.rates = Rates(optimizer)  # type: ignore[attr-defined]
    inner = optimizer.step

    def step(self: Any, closure: Any = None) -> Any:
        numbers = [group["lr"] for group in self.param_groups]
        for group, rate in zip(self.param_groups, self.rates.written(), strict=True):
            group["lr"] = rate
        try:
            return inner(closure)
        finally:
            for group, number in zip(self.param_groups, numbers, strict=True):
                group["lr"] = number

    optimizer.step = MethodType(step, optimizer)  # type: ignore[method-assign]


class Rates:
    """The rates of an optimizer's groups on its device, each 0-dim."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.tensors: list[Tensor] = []
        self.numbers: list[float] = []  # what is in them

    def written(self) -> list[Tensor]:
        """The tensors, with the present rates in them. Only a rate that has changed is written."""
        numbers = [group["lr"] for group in self.optimizer.param_groups]
        if len(self.tensors) != len(numbers):
            device = self.optimizer.param_groups[0]["params"][0].device
            self.tensors = [torch.full((), number, dtype=torch.float32, device=device) for number in numbers]
        elif numbers != self.numbers:
            for tensor, number, before in zip(self.tensors, numbers, self.numbers, strict=True):
                if number != before:
                    tensor.fill_(number)
        self.numbers = numbers
        return self.tensors
