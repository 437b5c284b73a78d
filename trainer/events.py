"""Events that the loop reports, and what a listener may answer: small frozen dataclasses, public as trainer.Stepped,
trainer.Stop and so on. Their tensors are detached and still on the device."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from trainer.stopping import StopReason
from trainer.watch import Logged


@dataclass(frozen=True, slots=True)
class Started:
    """Training starts, or resumes, after `step` optimizer steps. num_steps: that the run takes if nothing stops it."""

    step: int
    num_steps: int
    steps_per_epoch: int


@dataclass(frozen=True, slots=True)
class Stepped:
    """One optimizer step was taken. loss: of its samples, 0-dim. norm: of all gradients before clipping, 0-dim, or None
    in a step that does not log it. lr: the learning rate of the step. num_samples: over all processes. terms: of a loss
    with named terms, (terms,), in their order. logged: loss, terms and norm as floats in a step to log, else None: to
    read a tensor from a device waits for the device."""

    step: int
    loss: Tensor
    norm: Tensor | None
    lr: float
    num_samples: int
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


@dataclass(frozen=True, slots=True)
class Stop:
    """What a listener returns to end the run after this step, or this call of several compiled steps: normally, with an
    evaluation and a checkpoint. why: the reason, for summary.json."""

    why: str
