"""The keys of the shipped scheduler options, by `_target_`: their types, ranges and help."""

from dataclasses import dataclass
from typing import Literal

from trainer.config.durations import Duration
from trainer.config.schema_key import NoKeys, key


@dataclass
class StepLR:
    step_size: Duration | int = key("time between two cuts: 10epochs, 500steps", at_least=1)
    gamma: float = key("factor on the learning rate at each cut", above=0)


@dataclass
class CosineAnnealingLR:
    T_max: Duration | int | None = key("length; null: the full run", at_least=1)
    eta_min: float = key("learning rate at the end", at_least=0)


@dataclass
class WarmupCosine:
    num_steps: Duration | int | None = key("total length; null: the full run", at_least=1)
    warmup: Duration | int = key("length of the rise: 1epoch, 500steps", at_least=0)
    eta_min: float = key("learning rate at the end", at_least=0)


@dataclass
class Triangle:
    num_steps: Duration | int | None = key("total length; null: the full run", at_least=1)
    peak: float = key("share of the time spent rising", above=0, below=1)
    start: float = key("learning rate at the start, as a share of optimizer.lr", at_least=0, at_most=1)
    end: float = key("learning rate at the end, as a share of optimizer.lr", at_least=0, at_most=1)


@dataclass
class OneCycleLR:
    max_lr: float | None = key("the peak; null: optimizer.lr", above=0)
    total_steps: Duration | int | None = key("length; null: the full run", at_least=1)
    pct_start: float = key("share of the time spent rising", above=0, below=1)
    div_factor: float = key("the peak over the start", above=0)
    final_div_factor: float = key("the start over the end", above=0)
    cycle_momentum: bool | None = key("momentum falls while the rate rises; null: if the optimizer has one")


@dataclass
class ReduceLROnPlateau:
    mode: Literal["min", "max"] | None = key("whether lower or higher is better; null: as for monitor")
    factor: float = key("factor on the learning rate at each cut", above=0, below=1)
    patience: int = key("evaluations without improvement before a cut", at_least=0, unit="evaluations")
    threshold: float = key("smallest relative improvement that counts", at_least=0)
    min_lr: float = key("lower bound", at_least=0)


SCHEMAS: dict[str, type] = {
    "trainer.schedules.Constant": NoKeys,
    "torch.optim.lr_scheduler.StepLR": StepLR,
    "torch.optim.lr_scheduler.CosineAnnealingLR": CosineAnnealingLR,
    "trainer.schedules.WarmupCosine": WarmupCosine,
    "trainer.schedules.Triangle": Triangle,
    "torch.optim.lr_scheduler.OneCycleLR": OneCycleLR,
    "torch.optim.lr_scheduler.ReduceLROnPlateau": ReduceLROnPlateau,
}
