"""The scheduler that a config names, and what stands around it: a scaler that skips steps, a plateau."""

from collections.abc import Mapping
from typing import Any

from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from trainer.config import target
from trainer.config.durations import in_steps, is_duration
from trainer.errors import ConfigError

LENGTHS = ("num_steps", "total_steps", "T_max", "num_training_steps")  # parameters that mean the length of the run


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
