"""Which numeric targets are standardised before the loss sees them, and by what."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from trainer.data.scaling import Cast, Scale, Standardize
from trainer.device import dtype_name
from trainer.errors import ConfigError

UNTOLD = 0.01  # share of the spread of targets that may lie between two neighbours of the model's dtype

Way = Literal["columns", "common"]  # of standardising targets: each column by itself, or all by one deviation


@dataclass(frozen=True)
class TargetScaling:
    """Whether numeric targets are standardised.

    asked: dataset.scale_targets; None for a run of version 0.1.0, which standardised them whatever the loss. way: the
    way that changes nothing about the loss but its units; None if there is none. loss: its name. strict: whether the
    loss gives no meaning to other numbers than the data's own.
    """

    asked: Literal["auto"] | bool | None = None
    way: Way | None = "columns"
    loss: str = "the loss"
    strict: bool = False

    def check(self, task: str) -> None:
        """Raise ConfigError where scaled targets are asked for, but make no sense."""
        key, hint = "dataset.scale_targets", "dataset.scale_targets=auto"
        if self.asked not in ("auto", True, False, None):
            raise ConfigError(f"{key}={self.asked}: {key} must be auto or true or false", hint, key)
        if self.asked is True and task != "numbers":
            raise ConfigError(f"{key}=true, but the task is {task}", hint, key)
        if self.asked is True and self.strict:
            raise ConfigError(f"{key}=true, but {self.loss} needs the targets as they are in the data", hint, key)

    def choose(self, name: str, num_outputs: int, *, ready: bool) -> tuple[Way | None, str]:
        """(how to standardise, None for not at all; a line for the header). name: of the dataset; ready: whether its
        author left its targets as the model should learn them."""
        way, why = self.way, f"for {self.loss}"
        if self.asked is None:
            way, why = "columns", "as in version 0.1.0"
        if self.asked in (True, False):
            way, why = (way or "columns") if self.asked else None, f"dataset.scale_targets={str(self.asked).lower()}"
        elif ready and way is not None:
            way, why = None, f"as {name} gives them"
        if way is None:
            return None, f"targets keep the data's units: {why}"
        alike = f"; each of the {num_outputs} counts alike" if num_outputs > 1 and way == "columns" else ""
        return way, f"targets are standardised: {why}{alike}"


def for_targets(
    mean: Tensor, std: Tensor, way: Way | None, dtype: torch.dtype, row_shape: tuple[int, ...] | None = None
) -> Scale:
    """The scale of targets with this mean and standard deviation, float64. Raises ConfigError for targets that keep
    their units, if `dtype` cannot tell them apart."""
    if way is None:
        gap = mean.abs() * torch.finfo(dtype).eps
        if bool(((gap > UNTOLD * std) & (std > 0)).any()):
            name = dtype_name(dtype)
            text = f"the targets are too far from 0 for {name}: {gap.max():.2g} apart at {mean.abs().max():.4g}"
            text += "; dtype=float64 can tell them apart" * (name == "float32")
            raise ConfigError(text, "dataset.scale_targets=true")
        return Cast(dtype, row_shape)
    std = std.square().mean().sqrt().expand_as(std) if way == "common" else std
    return Standardize(mean, torch.where(std > 0, std, torch.ones_like(std)).contiguous(), dtype, row_shape)
