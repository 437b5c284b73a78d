"""The state of a run: its live objects (TrainState) and how far it has come (Progress)."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.data import seeds
from trainer.data.batches import EvalBatches, TrainBatches, Window
from trainer.data.facts import Facts
from trainer.data.scaling import Scale
from trainer.device import seed_generator
from trainer.processes.ranks import Ranks
from trainer.stopping import Stopping, StopReason, loss_of


@dataclass
class Progress:
    """How far a run has come, between two optimizer steps. A checkpoint holds all of it. loss_sum: over the samples
    since the last evaluation; a float on the CPU, else a 0-dim tensor on the device. best, best_loss: the monitored
    metric and the loss of the weights that are kept. reference: the value that patience waits to see improved."""

    num_steps: int
    steps_per_epoch: int
    eval_every: int

    step: int = 0
    samples: int = 0
    evaluated_at: int = 0
    loss_sum: float | Tensor = 0.0
    loss_samples: int = 0
    best: float | None = None
    best_loss: float | None = None
    best_step: int = 0
    reference: float | None = None
    bad_evaluations: int = 0
    stop_reason: StopReason | None = None

    @property
    def epoch(self) -> float:
        """Passes over the training split so far."""
        return self.step / self.steps_per_epoch

    @property
    def evaluation_due(self) -> bool:
        """Whether an evaluation is due at this step and still to be done."""
        due = self.step % self.eval_every == 0 or self.step == self.num_steps
        return due and self.step > self.evaluated_at and self.stop_reason is None

    @property
    def done(self) -> bool:
        """Whether training is over: all steps taken and evaluated, or a reason to stop."""
        return self.stop_reason is not None or (self.step >= self.num_steps and not self.evaluation_due)

    def advance(self, num_samples: int, loss: Tensor) -> None:
        """Count one step. On the CPU, where reading the loss is cheap, this stops the run at a NaN."""
        self.step += 1
        self.samples += num_samples
        self.loss_samples += num_samples
        if loss.device.type == "cpu":
            value = loss.item()
            self.loss_sum += value * num_samples
            if not math.isfinite(value):
                self.stop_reason = StopReason.DIVERGED
        else:
            self.loss_sum = self.loss_sum + loss * num_samples

    def take_train_loss(self) -> float:
        """Return the mean training loss since the last evaluation, and start a new mean."""
        loss = float(self.loss_sum) / max(1, self.loss_samples)
        self.loss_sum, self.loss_samples, self.evaluated_at = 0.0, 0, self.step
        if not math.isfinite(loss):
            self.stop_reason = StopReason.DIVERGED
        return loss


class Measurable(Protocol):
    """The part of a run that an evaluation needs; TrainState and inference's Trained both have it."""

    @property
    def model(self) -> nn.Module: ...
    @property
    def loss_fn(self) -> nn.Module: ...
    @property
    def autocast(self) -> Callable[[], AbstractContextManager[Any]]: ...
    @property
    def facts(self) -> Facts: ...
    @property
    def metrics(self) -> Sequence[str]: ...
    @property
    def scale_y(self) -> Scale | None: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def ranks(self) -> Ranks: ...


@dataclass
class TrainState:
    """The live objects of a run, all on one device. Plain attributes: the loop reads and calls them."""

    model: nn.Module
    forward: Callable[[Tensor], Tensor]  # the model itself, or DDP around it
    loss_fn: nn.Module
    optimizer: Optimizer
    scheduler: Any
    scaler: torch.amp.GradScaler
    autocast: Callable[[], AbstractContextManager[Any]]
    step: Callable[["TrainState", Window], tuple[Tensor, Tensor | None]]
    train_batches: TrainBatches
    val_batches: EvalBatches | None
    test_batches: EvalBatches | None
    progress: Progress
    stopping: Stopping
    facts: Facts
    metrics: Sequence[str]  # the names of those that an evaluation measures
    scale_y: Scale | None
    device: torch.device
    seed: int
    max_norm: float | None
    log_every: int
    dtype: torch.dtype  # of the parameters and of floating-point inputs
    zero: Tensor  # 0-dim 0.0 on the device: a step's loss adds up from here
    compile_seconds: float = 0.0  # spent compiling `step` so far
    ranks: Ranks = field(default_factory=Ranks)
    best_weights: dict[str, Any] | None = None

    def windows(self) -> Iterator[Window]:
        """Yield the windows to train on before the next evaluation, from the current step on."""
        progress = self.progress
        while not progress.done and not progress.evaluation_due:
            epoch, first = divmod(progress.step, progress.steps_per_epoch)
            for window in self.train_batches.windows(epoch, first):
                yield window
                if progress.done or progress.evaluation_due:
                    return

    def seed_step(self) -> None:
        """Seed the generators that forward draws from: dropout is a function of (seed, rank, step)."""
        seed_generator(self.device, seeds.derive(self.seed, "step", self.progress.step, *self.ranks.position))

    def agree_to_stop(self) -> None:
        """Stop all ranks in the same step if one has a reason to. A single process has nothing to agree on."""
        self.progress.stop_reason = self.ranks.agree(self.progress.stop_reason)

    def clip_gradients(self) -> Tensor | None:
        """Scale the gradients down to max_norm. Returns their norm before that, or None in a step that needs none."""
        if self.max_norm is not None:
            return nn.utils.clip_grad_norm_(self.model.parameters(), self.max_norm)
        if (self.progress.step + 1) % self.log_every == 0:
            return nn.utils.get_total_norm(p.grad for p in self.model.parameters() if p.grad is not None)
        return None

    def judge(self, metrics: Mapping[str, float]) -> bool:
        """Keep the best weights, move a plateau scheduler, stop early. Returns whether these weights are the best."""
        progress, stopping = self.progress, self.stopping
        value, loss = metrics[stopping.monitor], loss_of(metrics)
        if hasattr(self.scheduler, "look"):
            self.scheduler.look(value)
        if stopping.improves(value, progress.reference):
            progress.reference, progress.bad_evaluations = value, 0
        else:
            progress.bad_evaluations += 1
            if stopping.patience is not None and progress.bad_evaluations >= stopping.patience:
                progress.stop_reason = progress.stop_reason or StopReason.EARLY_STOP
        best = stopping.standing(math.nan if progress.best is None else progress.best, progress.best_loss)
        if is_best := stopping.standing(value, loss) > best:
            progress.best, progress.best_loss, progress.best_step = value, loss, progress.step
            self.keep_best()
        return is_best

    def forget_best(self) -> None:
        """Let the next evaluation be the best so far: what was kept was measured on other rows."""
        progress = self.progress
        progress.best = progress.best_loss = progress.reference = self.best_weights = None
        progress.best_step = progress.bad_evaluations = 0

    def keep_best(self) -> None:
        """Copy the current weights as the best so far."""
        self.best_weights = {
            name: value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)  # extra state
            for name, value in self.model.state_dict().items()
        }
