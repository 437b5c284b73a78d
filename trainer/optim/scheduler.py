"""A config's scheduler, with wrappers for a scaler that skips steps and for a plateau."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from torch.amp import GradScaler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import OneCycleLR, ReduceLROnPlateau

from trainer.config import target
from trainer.config.durations import with_steps
from trainer.errors import ConfigError
from trainer.optim import ratios
from trainer.optim.several import kinds

MEANT_BY = {"max_lr": OneCycleLR, "mode": ReduceLROnPlateau}  # another class may mean something else by these names
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
    """Construct the config's scheduler: lengths left null become the run's, durations become steps, in lists and
    nested nodes too. mode: min or max, the better direction of the monitored metric. Raises ConfigError."""
    node = with_steps(node, "scheduler", steps_per_epoch, samples_per_step)
    has_momentum = any(all(name in group for group in optimizer.param_groups) for name in ("momentum", "betas"))
    facts = {"cycle_momentum": has_momentum, "max_lr": optimizer.defaults["lr"], "mode": mode}
    node = with_facts(node, "scheduler", num_steps, facts)
    if not has_momentum and any(part.get("cycle_momentum") for _, part in target.nodes(node)):
        text = f"scheduler.cycle_momentum=true, but not all parameters have a momentum under {kinds(optimizer)}"
        raise ConfigError(text, "scheduler.cycle_momentum=false")
    node = ratios.kept(node, "scheduler", ratios.of(optimizer))
    scheduler = target.construct(node, "scheduler", {"optimizer": optimizer})
    if isinstance(scheduler, ReduceLROnPlateau):
        return OnPlateau(scheduler)
    if not hasattr(scheduler, "step"):
        raise ConfigError(f"scheduler._target_={node['_target_']} has no step()")
    return UnlessSkipped(scheduler, scaler) if scaler.is_enabled() else scheduler


def with_facts(node: Mapping[str, Any], key: str, num_steps: int, facts: Mapping[str, Any]) -> dict[str, Any]:
    """A scheduler's node with `facts` and the lengths that are null or absent: num_steps, or for each part of a
    SequentialLR the steps up to the next milestone. key: its dotted key."""
    parts, ends = node.get("schedulers"), node.get("milestones", [])
    if isinstance(parts, list):
        spans = [num_steps] * len(parts)
        if ends and len(ends) + 1 == len(parts):
            spans = [max(1, end - begin) for begin, end in pairwise([0, *ends, num_steps])]
        filled = [with_facts(part, f"{key}.schedulers.{i}", spans[i], facts) for i, part in enumerate(parts)]
        node = {**node, "schedulers": filled}
    kind = target.locate(node["_target_"], key)
    bases = kind.__mro__ if isinstance(kind, type) else ()
    apt = {name: value for name, value in facts.items() if name in node or MEANT_BY.get(name, object) in bases}
    return target.complete(node, key, **apt, **dict.fromkeys(LENGTHS, num_steps))
