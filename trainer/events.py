"""Events that the loop reports: small frozen dataclasses. Their tensors are detached and still on the device."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from trainer.data.batches import Window
from trainer.stopping import StopReason
from trainer.watch import Logged


@dataclass(frozen=True, slots=True)
class Started:
    """Training starts, or resumes, after `step` optimizer steps."""

    step: int


@dataclass(frozen=True, slots=True)
class Stepped:
    """One optimizer step was taken. loss: of its window, 0-dim. norm: of all gradients before clipping, 0-dim, or None
    in a step that does not log it. terms: of a loss with named terms, (terms,) in the order of run.terms. logged: the
    same as floats in a step to log, else None: to read a tensor from a device waits for the device."""

    step: int
    loss: Tensor
    norm: Tensor | None
    lr: float
    window: Window
    terms: Tensor | None = None
    logged: Logged | None = None


@dataclass(frozen=True, slots=True)
class Evaluated:
    """An evaluation was made. metrics: by name, train/loss among them. improved: whether the monitored one did."""

    step: int
    metrics: Mapping[str, float]
    improved: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """Training is over. stop_reason: None where all steps were taken."""

    step: int
    stop_reason: StopReason | None


Event = Started | Stepped | Evaluated | Ended
