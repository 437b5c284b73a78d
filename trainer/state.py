"""What a run is while it runs: the live objects (TrainState) and where it stands (Progress)."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.data import seeds
from trainer.data.facts import Facts
from trainer.data.scaling import Scale
from trainer.data.windows import EvalBatches, TrainBatches, Window
from trainer.device import seed_generator
from trainer.processes.ranks import Ranks
from trainer.stopping import Stopping, StopReason


@dataclass
class Progress:
    """Where a run stands between two optimizer steps. All of it goes into a checkpoint.

    loss_sum is the sum over samples since the last evaluation; a float on the CPU, elsewhere a tensor on the device.
    """

    num_steps: int
    steps_per_epoch: int
    eval_every: int

    step: int = 0
    samples: int = 0
    evaluated_at: int = 0
    loss_sum: float | Tensor = 0.0
    loss_samples: int = 0
    best: float | None = None
    best_step: int = 0
    bad_evaluations: int = 0
    stop_reason: StopReason | None = None

    @property
    def epoch(self) -> float:
        """Passes over the training split so far."""
        return self.step / self.steps_per_epoch

    @property
    def evaluation_due(self) -> bool:
        """Whether the weights of this step are to be evaluated and have not been."""
        due = self.step % self.eval_every == 0 or self.step == self.num_steps
        return due and self.step > self.evaluated_at and self.stop_reason is None

    @property
    def done(self) -> bool:
        """Whether there is nothing left to do: all steps taken and evaluated, or a wish to stop."""
        return self.stop_reason is not None or (self.step >= self.num_steps and not self.evaluation_due)

    def advance(self, num_samples: int, loss: Tensor) -> None:
        """One step is taken. On the CPU a look at the loss is cheap, so NaN is seen at once."""
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
        """Mean loss of the samples since the last evaluation, as they were met; begins anew."""
        loss = float(self.loss_sum) / max(1, self.loss_samples)
        self.loss_sum, self.loss_samples, self.evaluated_at = 0.0, 0, self.step
        if not math.isfinite(loss):
            self.stop_reason = StopReason.DIVERGED
        return loss


class Measurable(Protocol):
    """What an evaluation needs of a run: this much of TrainState, and all of trained.Trained."""

    @property
    def model(self) -> nn.Module: ...
    @property
    def loss_fn(self) -> nn.Module: ...
    @property
    def autocast(self) -> Callable[[], AbstractContextManager[Any]]: ...
    @property
    def facts(self) -> Facts: ...
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
    scale_y: Scale | None
    device: torch.device
    seed: int
    max_norm: float | None
    log_every: int
    dtype: torch.dtype  # of the parameters and of floating-point inputs
    zero: Tensor  # 0-dim, on the device: what the loss of a step is added up from
    compile_seconds: float = 0.0  # of `step`, so far
    ranks: Ranks = field(default_factory=Ranks)
    best_weights: dict[str, Tensor] | None = field(default=None)

    def windows(self) -> Iterator[Window]:
        """What there is to train on before the next evaluation; begins where the run stands."""
        progress = self.progress
        while not progress.done and not progress.evaluation_due:
            epoch, first = divmod(progress.step, progress.steps_per_epoch)
            for window in self.train_batches.windows(epoch, first):
                yield window
                if progress.done or progress.evaluation_due:
                    return

    def seed_step(self) -> None:
        """Set the generators that forward draws from: dropout is a function of (seed, rank, step)."""
        seed_generator(self.device, seeds.derive(self.seed, "step", self.progress.step, *self.ranks.position))

    def agree_to_stop(self) -> None:
        """A reason to stop on one rank becomes that of all, in the same step; nothing to do for one process."""
        self.progress.stop_reason = self.ranks.agree(self.progress.stop_reason)

    def clip_gradients(self) -> Tensor | None:
        """Scale the gradients down to max_norm. Returns their norm before, or None where nobody asks for it."""
        if self.max_norm is not None:
            return nn.utils.clip_grad_norm_(self.model.parameters(), self.max_norm)
        if (self.progress.step + 1) % self.log_every == 0:
            return nn.utils.get_total_norm(p.grad for p in self.model.parameters() if p.grad is not None)
        return None

    def judge(self, metrics: Mapping[str, float]) -> bool:
        """Note the best, move a plateau scheduler, stop early. Returns whether the monitored metric improved."""
        progress, value = self.progress, metrics[self.stopping.monitor]
        if hasattr(self.scheduler, "look"):
            self.scheduler.look(value)
        if self.stopping.improves(value, progress.best):
            progress.best, progress.best_step, progress.bad_evaluations = value, progress.step, 0
            self.keep_best()
            return True
        progress.bad_evaluations += 1
        if self.stopping.patience is not None and progress.bad_evaluations >= self.stopping.patience:
            progress.stop_reason = progress.stop_reason or StopReason.EARLY_STOP
        return False

    def keep_best(self) -> None:
        """Remember the weights as they are now."""
        self.best_weights = {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}
