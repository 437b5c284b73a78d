"""Schedulers on optimizer steps. Shipped ones are torch's; here is what torch has not."""

import math
from collections.abc import Mapping
from typing import Any

from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from trainer.config import target
from trainer.config.durations import in_steps, is_duration
from trainer.errors import ConfigError

LENGTHS = ("num_steps", "total_steps", "T_max", "num_training_steps")  # parameters that mean the length of the run


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


class UnlessSkipped:
    """A scheduler that stands still when the scaler skipped the optimizer's step (its scale fell)."""

    def __init__(self, scheduler: Any, scaler: GradScaler) -> None:
        self.scheduler, self.scaler = scheduler, scaler
        self.scale = scaler.get_scale()
        self.state_dict = scheduler.state_dict

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """The scheduler's. The scaler's state has to be loaded before."""
        self.scheduler.load_state_dict(state)
        self.scale = self.scaler.get_scale()

    def step(self) -> None:
        """Move, if the optimizer did."""
        scale = self.scaler.get_scale()
        if scale >= self.scale:
            self.scheduler.step()
        self.scale = scale


class OnPlateau:
    """ReduceLROnPlateau: moves on evaluations and stands still on steps."""

    def __init__(self, scheduler: ReduceLROnPlateau) -> None:
        self.scheduler = scheduler
        self.state_dict, self.load_state_dict = scheduler.state_dict, scheduler.load_state_dict

    def step(self) -> None:
        """Nothing: see `look`."""

    def look(self, value: float) -> None:
        """Judge the monitored metric."""
        self.scheduler.step(value)


def make_scheduler(
    node: Mapping[str, Any],
    optimizer: Optimizer,
    scaler: GradScaler,
    *,
    num_steps: int,
    steps_per_epoch: int,
    samples_per_step: int,
    mode: str,
) -> Any:
    """The scheduler that a config names: lengths left null become the run's, durations become steps."""
    node = {
        name: in_steps(value, steps_per_epoch, samples_per_step) if is_duration(value) else value
        for name, value in node.items()
    }
    has_momentum = "momentum" in optimizer.defaults or "betas" in optimizer.defaults
    facts: dict[str, Any] = {**dict.fromkeys(LENGTHS, num_steps), "cycle_momentum": has_momentum}
    if "max_lr" in node or "mode" in node:  # left null; a class that has its own sense of them does not list them
        facts |= {"max_lr": optimizer.defaults["lr"], "mode": mode}
    scheduler = target.construct(node, "scheduler", optimizer, **facts)
    if isinstance(scheduler, ReduceLROnPlateau):
        return OnPlateau(scheduler)
    if not hasattr(scheduler, "step"):
        raise ConfigError(f"scheduler._target_={node['_target_']} has no step()")
    return UnlessSkipped(scheduler, scaler) if scaler.is_enabled() else scheduler
