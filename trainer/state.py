"""The state of a run: its live objects. How far it has come is in progress.py."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer.data import seeds
from trainer.data.batches import EvalBatches, TrainBatches, Window
from trainer.data.facts import Facts
from trainer.data.scaling import Scale
from trainer.device import seed_generator
from trainer.optim.averaging import Average, copied
from trainer.optim.phases import Phases
from trainer.processes.ranks import Ranks
from trainer.progress import Progress, Timer
from trainer.stopping import Stopping, StopReason, loss_of
from trainer.tasks import loss_modules
from trainer.tasks.calls import Call, Loss
from trainer.tasks.fit import Fit
from trainer.tasks.task import Task
from trainer.watch import Logged, Watch


@dataclass
class TrainState:
    """The live objects of a run, all on one device. Plain attributes: the loop reads and calls them."""

    model: nn.Module
    trained: nn.Module  # the model, with the loss beside it if that has parameters of its own
    forward: Call  # of a batch's input: the model itself, or DDP around it
    call: Call  # the same without DDP, for evaluations
    loss_fn: nn.Module
    loss: Loss  # of (prediction, target, input)
    terms: Sequence[str]  # the names of the loss's terms, if it has some
    minimised: Tensor | None  # what backward starts from; of a loss with terms (1, 0, …): only the first number counts
    fit: Fit  # from a prediction to the output that the task is about
    task: Task
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
    metrics: Sequence[str]  # the names of those that an evaluation measures
    device: torch.device
    seed: int
    max_norm: float | None
    log_every: int
    dtype: torch.dtype  # of the parameters and of floating-point inputs
    zero: Tensor  # 0.0 on the device, 0-dim or (1 + terms,): a step's loss adds up from here
    steps_per_call: int = 1  # that a compiled step may take at once
    is_whole: bool = True  # whether weights and progress are of the same step, so that they can be saved
    compile_seconds: float = 0.0  # spent compiling `step` so far
    ranks: Ranks = field(default_factory=Ranks)
    best_weights: dict[str, Any] | None = None
    phases: Phases = field(default_factory=Phases)
    average: Average = field(default_factory=Average)  # of the weights, which evaluations see in their place
    watch: Watch = field(init=False)
    window: Window | None = None  # of the last step
    timer: Timer = field(default_factory=Timer)
    diverged_at: int | None = None  # the first step whose loss or weights were seen not to be finite

    def __post_init__(self) -> None:
        self.watch = Watch(self.trained, self.device)

    @property
    def facts(self) -> Facts:
        """Facts about the training data."""
        return self.task.facts

    @property
    def scale_y(self) -> Scale | None:
        """The scale of numeric targets, for its inverse on the device."""
        return self.task.scale

    def windows(self) -> Iterator[Window]:
        """Yield the windows to train on before the next evaluation, from the current step on. A reason to stop waits
        for the end of a call."""
        progress = self.progress
        while not progress.done and not progress.evaluation_due:
            epoch, first = divmod(progress.step, progress.steps_per_epoch)
            windows = self.train_batches.windows(epoch, first)
            while call := list(islice(windows, self.call_length())):
                for number, window in enumerate(call, 1):
                    window.following = call[number:]
                    yield window
                    if (progress.done or progress.evaluation_due) and self.is_whole:
                        return

    def call_length(self) -> int:
        """The steps of the call that begins at the current step. It ends where one of steps_per_call would, counted
        from the epoch's start, and with an epoch, before an evaluation and at the last step: what a run computes does
        not depend on its calls."""
        progress, place = self.progress, self.progress.step % self.progress.steps_per_epoch
        to_evaluation = progress.eval_every - progress.step % progress.eval_every
        to_end = min(progress.steps_per_epoch - place, progress.num_steps - progress.step)
        return min(self.steps_per_call - place % self.steps_per_call, to_evaluation, to_end)

    def advance(self, window: Window, loss: Tensor, norm: Tensor | None) -> Logged | None:
        """Count a step over a window. Returns its numbers if it is one to log, every `log_every`th. On a device the
        losses are read only in these steps, and before evaluations, checkpoints and the end."""
        progress = self.progress
        progress.step += 1
        progress.samples += window.num_samples
        self.window = window
        self.watch.add(loss, window.num_samples, window.weight)
        is_logged = progress.step % self.log_every == 0
        is_due = is_logged or progress.evaluation_due
        if not (is_due or self.watch.is_free):
            return None
        at_weights = is_due or norm is None or not math.isfinite(norm.item())  # or finite gradients tell of them
        logged = self.look(norm, at_weights=at_weights)
        return logged if is_logged else None

    def look(self, norm: Tensor | None = None, *, at_weights: bool = True) -> Logged | None:
        """Read the losses of the steps since the last look, and end the run at the first that is not finite, or if a
        weight is not. Returns the numbers of the last step; None where all have been read. norm: of its gradients."""
        progress, at_weights = self.progress, at_weights and self.is_whole
        if not (self.watch.unread or (self.watch.unseen and at_weights)):
            return None
        steps, size, is_good = self.watch.read(norm, with_weights=at_weights)
        number = progress.step - len(steps)
        for step in steps:
            number += 1
            progress.add(*step)
            if not all(map(math.isfinite, step.loss)):
                is_good = False
                break
        if not is_good:
            progress.stop_reason, self.diverged_at = StopReason.DIVERGED, number
            self.is_whole = True  # the rest of a call has changed nothing
        return Logged(steps[-1].loss[0], steps[-1].loss[1:], size) if steps else None

    def seed_step(self, ahead: int = 0) -> None:
        """Seed the generators that forward draws from: dropout is a function of (seed, rank, step). ahead: steps of a
        call that have been taken and not yet counted."""
        step = self.progress.step + ahead
        seed_generator(self.device, seeds.derive(self.seed, "step", step, *self.ranks.position))

    def seed_evaluation(self, batch: int) -> None:
        """Seed them for a batch of an evaluation; the next step seeds them again."""
        number = self.ranks.rank + batch * self.ranks.size  # each rank takes every size-th batch
        seed_generator(self.device, seeds.derive(self.seed, "evaluation", number))

    def agree_to_stop(self) -> None:
        """Stop all ranks in the same step if one has a reason to. A single process has nothing to agree on."""
        self.progress.stop_reason = self.ranks.agree(self.progress.stop_reason)
        if self.progress.evaluation_due:  # where one was not expected, not all losses have been read
            self.look()

    def clip_gradients(self) -> Tensor | None:
        """Scale the gradients down to max_norm. Returns their norm before that, or None in a step that needs none."""
        if self.max_norm is not None:
            return nn.utils.clip_grad_norm_(self.trained.parameters(), self.max_norm)
        return self.gradient_norm() if self.needs_norm else None

    @property
    def needs_norm(self) -> bool:
        """Whether the norm of this step's gradients is used."""
        return self.max_norm is not None or (self.progress.step + 1) % self.log_every == 0

    def gradient_norm(self) -> Tensor:
        """The norm of all gradients, 0-dim."""
        return nn.utils.get_total_norm(p.grad for p in self.trained.parameters() if p.grad is not None)

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
        self.best_weights = copied(self.weights())

    def weights(self) -> dict[str, Any]:
        """The model's state_dict, and what is trained in the loss, see loss_modules."""
        return self.model.state_dict() | loss_modules.state(self.loss_fn)

    def load_weights(self, weights: Mapping[str, Any]) -> None:
        """Load what `weights` gave. Raises RuntimeError or KeyError for those of another model or loss."""
        of_model, of_loss = loss_modules.split(weights)
        self.model.load_state_dict(of_model)
        loss_modules.load(self.loss_fn, of_loss)
