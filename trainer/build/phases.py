"""Gives a run what it does beside its steps: frozen parameters train from some step on, and weights are averaged."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainer import device as devices
from trainer.config.durations import in_steps
from trainer.config.schema import Config
from trainer.data import seeds
from trainer.data.batches import EvalBatches, Sync, Window
from trainer.data.splits import Split
from trainer.data.workers import Workers
from trainer.errors import ConfigError
from trainer.optim import averaging, batch_norms
from trainer.optim.averaging import Average
from trainer.optim.freezing import Frozen, take_over
from trainer.optim.phases import Change, Phases
from trainer.optim.stretch import continued
from trainer.schedules import Constant
from trainer.state import TrainState
from trainer.tasks import loss_modules
from trainer.tasks.calls import Call

LEAST_RATE = 0.1  # times the first rate: the least that an even average holds by default

Step = Callable[[TrainState, Window], tuple[Tensor, Tensor | None]]


def check(config: Config) -> None:
    """Raise ConfigError for keys that exclude each other, or that mean nothing without another."""
    if config.ema is not None and config.swa is not None:
        text = f"ema={config.ema:g} and swa={config.swa}: a run has one average of its weights"
        raise ConfigError(text, "swa=null", "swa")
    if config.swa_lr is not None and config.swa is None:
        text = f"swa_lr={config.swa_lr:g} is the rate while weights are averaged, which needs swa"
        raise ConfigError(text, f"swa=0.75 swa_lr={config.swa_lr:g}", "swa_lr")
    if config.unfreeze_at is not None and not config.freeze:
        raise ConfigError(f"unfreeze_at={config.unfreeze_at}, but nothing is frozen", "unfreeze_at=null", "unfreeze_at")


@dataclass
class Parts:
    """How the parts of a run are made that depend on which parameters are trained: build makes them once, and
    unfreezing again. connect: the forward of training, and the context without an exchange of gradients; step: of one
    whose optimizer makes its state at the step that is given. rates: of each group, before any schedule."""

    frozen: Frozen
    optimizer: Callable[[], Optimizer]
    schedule: Callable[[Optimizer], Any]
    connect: Callable[[], tuple[Call, Sync]]
    step: Callable[[TrainState, int], Step]
    rates: list[float]


class Phased:
    """A step, with the average that takes it in and the changes that are due before the next one."""

    def __init__(self, step: Step) -> None:
        self.step = step

    def __call__(self, run: TrainState, window: Window) -> tuple[Tensor, Tensor | None]:
        found, step = self.step(run, window), run.progress.step + 1
        run.average.update(step)
        run.phases.begin(run, step)
        return found


def attach(run: TrainState, config: Config, parts: Parts, rows: Split) -> None:
    """Give a run its phases and its average, if it has some; else nothing is done, then and in any step. rows: those of
    training, as they are or augmented only where they are read."""
    lengths = run.progress.steps_per_epoch, config.loader.batch_size * config.accumulate
    run.phases = Phases()
    changes = run.phases.changes
    if config.unfreeze_at is not None:
        changes["unfreeze"] = Change(in_steps(config.unfreeze_at, *lengths), lambda run: _unfreeze(run, parts))
    if config.swa is not None:
        share, num_steps = config.swa, run.progress.num_steps
        begin = math.ceil(share * num_steps) if isinstance(share, float) else in_steps(share, *lengths)
        changes["swa"] = Change(begin, lambda run: _hold_rate(run, parts, config.swa_lr))
        run.average = _even(run, rows)
    if config.ema is not None:
        run.average = _exponential(run, config.ema)
    if changes or config.ema is not None:
        run.step = Phased(run.step)


def _unfreeze(run: TrainState, parts: Parts) -> None:
    """Train everything from now on. What trained before keeps its state; the rest joins in groups of its own."""
    parts.frozen.thaw()
    run.model.train()
    before, rates = run.optimizer, parts.rates
    run.optimizer = parts.optimizer()
    take_over(run.optimizer, before)
    parts.rates = [float(group["lr"]) for group in run.optimizer.param_groups]
    factor = before.param_groups[0]["lr"] / rates[0] if rates[0] else 1.0
    run.scheduler = continued(run.scheduler, parts.schedule(run.optimizer), run.optimizer, factor)
    devices.forget_graphs()
    run.forward, run.train_batches.no_sync = parts.connect()
    run.average.unfrozen()
    if isinstance(run.step, Phased):
        run.step.step = parts.step(run, run.phases.begun["unfreeze"])


def _hold_rate(run: TrainState, parts: Parts, rate: float | None) -> None:
    """End the schedule. Each group keeps its ratio to the others. rate: None for the present one, if that is enough."""
    parts.schedule = Constant
    run.scheduler = Constant(run.optimizer)
    for group, first in zip(run.optimizer.param_groups, parts.rates, strict=True):
        held = max(float(group["lr"]), LEAST_RATE * first)
        group["lr"] = held if rate is None else rate * first / run.optimizer.defaults["lr"]


def _exponential(run: TrainState, most: float) -> Average:
    """The average of every step, see averaging.decay."""
    modules = _modules(run.model, run.loss_fn)
    return Average(modules, lambda step, _: 1.0 - averaging.decay(step, most), with_buffers=True)


def _even(run: TrainState, rows: Split) -> Average:
    """The average of the ends of epochs, or of shorter eval_every, once it has begun."""
    progress, begun = run.progress, run.phases.begun
    every = min(progress.steps_per_epoch, progress.eval_every)

    def weigh(step: int, num_averaged: int) -> float:
        is_due = step % every == 0 or step == progress.num_steps
        return 1.0 / (num_averaged + 1) if is_due and "swa" in begun else 0.0

    average = Average(_modules(run.model, run.loss_fn), weigh)
    loader, num_rows, size = rows.loader, rows.num_rows, run.train_batches.batch_size
    loader = loader.unaugmented() if isinstance(loader, Workers) else loader
    batches = EvalBatches(loader, num_rows - num_rows % size or num_rows, size)  # a small last one would weigh as much

    @torch.no_grad()
    def settle(run: TrainState) -> None:
        mark = time.perf_counter()
        with batch_norms.measuring(run.model) as has_norms:
            for number, (x, _, _) in enumerate(batches if has_norms else ()):
                devices.seed_generator(run.device, seeds.derive(run.seed, "batch norms", number))
                with run.autocast():
                    run.call(x)
        devices.synchronize(run.device)
        run.average.seconds += time.perf_counter() - mark

    average.settle = settle
    return average


def _modules(model: nn.Module, loss_fn: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """(name, module) of all whose tensors are averaged: the model's, and of a loss what is trained in it."""
    yield from model.named_modules()
    if loss_modules.state(loss_fn):
        left_out = {part for _, module in loss_modules.frozen(loss_fn) for part in module.modules()}
        for name, module in loss_fn.named_modules(prefix=loss_modules.PREFIX):
            if module not in left_out:
                yield name.replace(f"{loss_modules.PREFIX}.", loss_modules.PREFIX), module
