"""How far a run has come, in steps and in time."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from trainer.stopping import StopReason, status_of


@dataclass
class Progress:
    """How far a run has come, between two optimizer steps. A checkpoint holds all of it. loss_sum: over the samples
    since the last evaluation, as far as they were read; term_sums: the same of each term of a loss that has some;
    loss_samples: what these are sums over, see Window.weight. best, best_loss: the monitored
    metric and the loss of the weights that are kept. reference: the value that patience waits to see improved.
    stop_note: what a listener said of its reason to stop."""

    num_steps: int
    steps_per_epoch: int
    eval_every: int

    step: int = 0
    samples: int = 0
    evaluated_at: int = 0
    loss_sum: float = 0.0
    term_sums: list[float] = field(default_factory=list)
    loss_samples: float = 0
    best: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    reference: float | None = None
    bad_evaluations: int = 0
    stop_reason: StopReason | None = None
    stop_note: str | None = None

    @property
    def epoch(self) -> float:
        """Passes over the training split so far."""
        return self.step / self.steps_per_epoch

    @property
    def awaits_evaluation(self) -> bool:
        """Whether an evaluation belongs to this step and has not been made, be it that the run was stopped before."""
        is_last = self.step == self.num_steps or (self.stop_reason is not None and self._ends_well)
        return (is_last or self.step % self.eval_every == 0) and self.step > self.evaluated_at

    @property
    def evaluation_due(self) -> bool:
        """Whether an evaluation is due at this step and still to be done. A run that ends well ends with one."""
        return self.awaits_evaluation and self._ends_well

    @property
    def _ends_well(self) -> bool:
        return status_of(self.stop_reason) == "ok"

    @property
    def done(self) -> bool:
        """Whether training is over: all steps taken, or a reason to stop, and the last evaluation made."""
        return (self.stop_reason is not None or self.step >= self.num_steps) and not self.evaluation_due

    def add(self, loss: Sequence[float], num_samples: int, weight: float | None) -> None:
        """Count the loss of one step, (1 + terms,). num_samples, weight: see Window."""
        self.loss_samples += num_samples if weight is None else weight
        weight = 1.0 if weight is None else weight
        self.loss_sum += loss[0] * weight
        if terms := loss[1:]:
            sums = self.term_sums or [0.0] * len(terms)
            self.term_sums = [total + term * weight for total, term in zip(sums, terms, strict=True)]

    def take_train_loss(self, terms: Sequence[str] = ()) -> dict[str, float]:
        """Return {'train/loss': …, 'train/TERM': …}, the means since the last evaluation, and start new ones."""
        count, values = self.loss_samples or 1.0, (self.loss_sum, *self.term_sums)
        found = {f"train/{name}": value / count for name, value in zip(("loss", *terms), values, strict=False)}
        self.evaluated_at = self.step
        if not all(map(math.isfinite, found.values())):
            self.stop_reason = StopReason.DIVERGED
            return found  # the sums of the terms still say which
        self.loss_sum, self.term_sums, self.loss_samples = 0.0, [], 0
        return found


@dataclass
class Timer:
    """The wall-clock time of a run, the total over its resumes. started: when the command of this session began, by
    `clock`, in seconds. before: seconds of the sessions before it, up to the checkpoint that it continues from."""

    started: float | None = None
    before: float = 0.0
    clock: Callable[[], float] = time.perf_counter

    @property
    def seconds(self) -> float:
        """The seconds of all sessions so far; of this one only once it is known when it began."""
        return self.before + (self.clock() - self.started if self.started is not None else 0.0)
