"""A config's scheduler, with wrappers for a scaler that skips steps and for a plateau."""

from collections.abc import Mapping
from typing import Any

from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau

from trainer.config import target
from trainer.config.durations import in_steps, is_duration
from trainer.errors import ConfigError

LENGTHS = ("num_steps", "total_steps", "T_max", "num_training_steps")  # parameters for the length of the run


class UnlessSkipped:
    """A scheduler that stands still when the scaler skipped the optimizer's step, which lowers its scale."""

    def __init__(self, scheduler: Any, scaler: GradScaler) -> None:
        self.scheduler, self.scaler = scheduler, scaler
        self.scale = scaler.get_scale()
        self.state_dict = scheduler.state_dict

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the scheduler's state. The scaler's state must be loaded before."""
        self.scheduler.load_state_dict(state)
        self.scale = self.scaler.get_scale()

    def step(self) -> None:
        """Move, unless the optimizer's step was skipped."""
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
        """Do nothing: see `look`."""

    def look(self, value: float) -> None:
        """Move by the value of the monitored metric."""
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
    """Construct the config's scheduler: lengths left null become the run's, durations become steps. mode: min or max,
    the better direction of the monitored metric. Raises ConfigError."""
    lengths = (steps_per_epoch, samples_per_step)
    node = {name: in_steps(value, *lengths) if is_duration(value) else value for name, value in node.items()}
    has_momentum = "momentum" in optimizer.defaults or "betas" in optimizer.defaults
    facts: dict[str, Any] = {**dict.fromkeys(LENGTHS, num_steps), "cycle_momentum": has_momentum}
    if "max_lr" in node or "mode" in node:  # a class with another meaning for them does not list them as null
        facts |= {"max_lr": optimizer.defaults["lr"], "mode": mode}
    scheduler = target.construct(node, "scheduler", optimizer, **facts)
    if isinstance(scheduler, ReduceLROnPlateau):
        return OnPlateau(scheduler)
    if not hasattr(scheduler, "step"):
        raise ConfigError(f"scheduler._target_={node['_target_']} has no step()")
    return UnlessSkipped(scheduler, scaler) if scaler.is_enabled() else scheduler
