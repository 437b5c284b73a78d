"""Schedulers on optimizer steps. Shipped ones are torch's; here is what torch has not."""

import math
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class Constant:
    """The null object: a learning rate that stays as it is."""

    def __init__(self, optimizer: Optimizer) -> None:
        pass

    def step(self) -> None:
        """Nothing."""

    def state_dict(self) -> dict[str, Any]:
        """Nothing."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing."""


class WarmupCosine(LRScheduler):
    """Linear from lr / warmup to lr over `warmup` steps, then half a cosine down to eta_min at `num_steps`."""

    def __init__(self, optimizer: Optimizer, num_steps: int, warmup: int, eta_min: float = 0.0) -> None:
        if warmup >= num_steps:
            raise ValueError(f"a warmup of {warmup} steps leaves nothing of a run of {num_steps}")
        self.num_steps, self.warmup, self.eta_min = num_steps, warmup, eta_min
        super().__init__(optimizer)

    def get_lr(self) -> list[float | Any]:
        """Learning rate of each group for step `last_epoch`, counted from 0."""
        step = self.last_epoch
        if step < self.warmup:
            return [lr * (step + 1) / self.warmup for lr in self.base_lrs]
        done = min(1.0, (step - self.warmup) / (self.num_steps - self.warmup))
        return [self.eta_min + (lr - self.eta_min) * (1 + math.cos(math.pi * done)) / 2 for lr in self.base_lrs]
