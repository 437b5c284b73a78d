"""The losses of the steps that nobody has read yet, and the weights, to look for NaN and infinity.

To read from a device waits for it. So all that there is to read is copied at once, and only now and then. On the CPU
reading is free, and each step is read.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainer.device import widest_dtype


class Logged(NamedTuple):
    """The numbers of a step, as floats. terms: of its loss, in the order of run.terms; norm: see events.Stepped."""

    loss: float
    terms: Sequence[float]
    norm: float | None


class Step(NamedTuple):
    """What is counted of a step: its loss, (1 + terms,), and num_samples and weight as Window has them."""

    loss: Sequence[float]
    num_samples: int
    weight: float | None


class Watch:
    """is_free: whether reading waits for nothing. unseen: whether nobody has looked at the weights since a step."""

    def __init__(self, trained: nn.Module, device: torch.device) -> None:
        self.is_free = device.type == "cpu"
        self.unread: list[tuple[Tensor, int, int | Tensor | None]] = []
        self.unseen = False
        floats = (p.detach() for p in trained.parameters() if p.is_floating_point() and p.is_contiguous())
        self.weights = [p.view(-1) for p in floats]  # views, which see each step's update
        self.empty = torch.zeros(0, dtype=widest_dtype(device), device=device)  # what is copied has its dtype

    def add(self, loss: Tensor, num_samples: int, weight: int | Tensor | None) -> None:
        """Take note of a step. loss: 0-dim or (1 + terms,), on the device."""
        self.unread.append((loss, num_samples, weight))

    def read(self, norm: Tensor | None, *, with_weights: bool) -> tuple[list[Step], float | None, bool]:
        """(The steps since the last time, the norm, whether all weights are finite). with_weights: whether they are
        those of the last step, and looked at."""
        unread, self.unread = self.unread, []
        self.unseen = not with_weights
        if self.is_free:
            steps = [
                Step(_numbers(loss), num_samples, weight.item() if isinstance(weight, Tensor) else weight)
                for loss, num_samples, weight in unread
            ]
            return steps, None if norm is None else norm.item(), not with_weights or are_finite(self.weights)
        size = nn.utils.get_total_norm(self.weights) if self.weights and with_weights else self.empty.sum()
        some = [tensor for loss, _, weight in unread for tensor in (loss, weight)] + [norm, size]
        parts = [tensor.reshape(-1) for tensor in some if isinstance(tensor, Tensor)]
        values = iter(torch.cat([self.empty, *parts]).tolist())
        steps = []
        for loss, num_samples, weight in unread:
            numbers = [next(values) for _ in range(loss.numel())]
            steps.append(Step(numbers, num_samples, next(values) if isinstance(weight, Tensor) else weight))
        found = None if norm is None else next(values)
        return steps, found, math.isfinite(next(values)) or each_is_finite(self.weights)


def _numbers(loss: Tensor) -> list[float]:
    return loss.tolist() if loss.ndim else [loss.item()]


def are_finite(vectors: Sequence[Tensor]) -> bool:
    """Whether no number is NaN or infinite. A dot product shows it in 2 µs per vector, unless it overflows."""
    return math.isfinite(sum([torch.dot(v, v).item() for v in vectors])) or each_is_finite(vectors)


def each_is_finite(tensors: Sequence[Tensor]) -> bool:
    """The same, looked at number by number."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors)
