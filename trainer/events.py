"""What the loop reports: small frozen dataclasses. Tensors in them are detached and still on the device."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from trainer.data.windows import Window
from trainer.stopping import StopReason


@dataclass(frozen=True, slots=True)
class Started:
    """Training begins, or goes on, after `step` optimizer steps."""

    step: int


@dataclass(frozen=True, slots=True)
class Stepped:
    """One optimizer step was taken. loss: of its window, 0-dim. norm: of all gradients, before clipping, if known."""

    step: int
    loss: Tensor
    norm: Tensor | None
    lr: float
    window: Window


@dataclass(frozen=True, slots=True)
class Evaluated:
    """The validation split was measured; metrics by name, train/loss among them. improved: by the monitored one."""

    step: int
    metrics: Mapping[str, float]
    improved: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """Training is over: done, or stopped for a reason."""

    step: int
    stop_reason: StopReason | None


Event = Started | Stepped | Evaluated | Ended
