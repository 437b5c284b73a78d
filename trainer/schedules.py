"""Learning rate schedules that torch does not have. They move once an optimizer step."""

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class Constant:
    """A schedule that leaves the learning rate as it is."""

    def __init__(self, optimizer: Optimizer) -> None:
        pass

    def step(self) -> None:
        """Do nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Return {}."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Do nothing."""


class WarmupCosine(LRScheduler):
    """Rises linearly from lr / warmup to lr over `warmup` steps, then falls along half a cosine to eta_min at
    `num_steps`. eta_min is that of the first group; the others keep their ratio to it. Raises ValueError where the
    warmup is not shorter than the run."""

    def __init__(self, optimizer: Optimizer, num_steps: int, warmup: int, eta_min: float = 0.0) -> None:
        if warmup >= num_steps:
            raise ValueError(f"a warmup of {warmup} steps leaves nothing of a run of {num_steps} steps")
        self.num_steps, self.warmup, self.eta_min = num_steps, warmup, eta_min
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Any]:
        """The learning rate of each group for step `last_epoch`, counted from 0."""
        step = self.last_epoch
        if step < self.warmup:
            return [lr * (step + 1) / self.warmup for lr in self.base_lrs]
        done = min(1.0, (step - self.warmup) / (self.num_steps - self.warmup))
        first = self.base_lrs[0]
        ends = [self.eta_min * (lr / first if first else 1.0) for lr in self.base_lrs]
        pairs = zip(self.base_lrs, ends, strict=True)
        return [end + (lr - end) * (1 + math.cos(math.pi * done)) / 2 for lr, end in pairs]


class Triangle(LRScheduler):
    """Rises linearly from start * lr to lr over a share `peak` of `num_steps`, then falls linearly to end * lr at
    `num_steps`. start, end: shares of lr, the same for every group."""

    def __init__(
        self, optimizer: Optimizer, num_steps: int, peak: float = 0.25, start: float = 0.2, end: float = 0.0
    ) -> None:
        self.num_steps, self.peak, self.start, self.end = num_steps, peak, start, end
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Any]:
        """The learning rate of each group for step `last_epoch`, counted from 0."""
        step, top = min(self.last_epoch, self.num_steps), self.peak * self.num_steps
        if step < top:
            share = self.start + (1 - self.start) * step / top
        else:
            share = self.end + (1 - self.end) * (self.num_steps - step) / (self.num_steps - top)
        return [lr * share for lr in self.base_lrs]
