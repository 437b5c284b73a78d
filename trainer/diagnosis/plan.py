"""The cost of a run, estimated on one that is built and thrown away: learning rates, memory, time."""

import math
import statistics
import time
import warnings
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainer.data import tree
from trainer.data.kept_pictures import KeptPictures
from trainer.data.tree import Tree
from trainer.device import synchronize
from trainer.events import Evaluated, Stepped
from trainer.listeners import Listener
from trainer.loop import evaluate, train
from trainer.optim.phases import Change
from trainer.optim.scheduler import OnPlateau
from trainer.optim.updates import kept_tensors
from trainer.schedules import Constant
from trainer.state import TrainState

MOST_STEPS = 1_000_000  # of a schedule to follow
ENOUGH = 0.5  # seconds of steps to time
WARM = 3  # first steps, slower than a typical one


@dataclass(frozen=True)
class Memory:
    """Bytes that a training step holds on its device. weights: with the copy of the best ones, an average of them, and
    those of a teacher in the loss. activations: those that autograd keeps of one batch for backward, or an evaluation's
    widest layer, if that is more."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    data: int

    @property
    def total(self) -> int:
        """The sum. Memory that torch and CUDA use for themselves comes on top."""
        return sum(vars(self).values())


@dataclass(frozen=True)
class Timing:
    """Seconds: of a typical step (of `num_timed`), of one evaluation, and of all steps with the slow first ones. mean:
    of the steps after those; first: what those take on top."""

    step: float
    evaluation: float
    num_timed: int
    num_evaluations: int
    train: float
    mean: float
    first: float


def schedule(run: TrainState) -> list[tuple[float, float]]:
    """(step, learning rate) of every step; [] for a schedule that is constant, depends on evaluations or is too long.
    It uses up the run's schedule and puts a constant one in its place."""
    scheduler, held = getattr(run.scheduler, "scheduler", run.scheduler), run.phases.changes.pop("swa", None)
    if isinstance(run.scheduler, OnPlateau) or run.progress.num_steps > MOST_STEPS:
        return []
    is_constant = isinstance(run.scheduler, Constant)
    run.scheduler = Constant(run.optimizer)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch expects optimizer.step() between
        for step in range(run.progress.num_steps if held is not None or not is_constant else 0):
            if held is not None and step == held.at:
                held.make(run)
                scheduler = run.scheduler
            rates.append(float(run.optimizer.param_groups[0]["lr"]))
            scheduler.step()
    is_constant = is_constant and len(set(rates)) < 2
    return [] if is_constant else [(float(step), rate) for step, rate in enumerate(rates, 1)]


def how_it_changes(run: TrainState) -> str:
    """Describe a schedule for which `schedule` has no points."""
    if isinstance(run.scheduler, OnPlateau):
        return "falls when the monitored metric stops improving"
    return "constant" if isinstance(run.scheduler, Constant) else "has a schedule too long to follow here"


def timing(run: TrainState, enough: float = ENOUGH, listeners: Sequence[Listener] = ()) -> Timing:
    """Time the loop for a moment, and extrapolate. This trains the run by some steps. enough: seconds of steps;
    listeners: whose time is part of it."""
    progress, steps, evaluations = run.progress, [], []
    planned = progress.num_steps
    if isinstance(run.scheduler, Constant):  # then a short run can be timed for longer than it will take
        progress.num_steps = max(planned, MOST_STEPS)
    begun = mark = time.perf_counter()
    for event in train(run):
        for listener in listeners:
            listener(event)
        synchronize(run.device)
        now = time.perf_counter()
        if isinstance(event, Stepped):
            steps.append(now - mark)
        elif isinstance(event, Evaluated):
            evaluations.append(now - mark)
        if steps and now - begun > enough:
            break
        mark = time.perf_counter()
    progress.num_steps = planned
    if not evaluations and run.val_batches is not None:
        for _ in range(1 + isinstance(run.val_batches.loader, KeptPictures)):  # the first one decodes
            mark = time.perf_counter()
            evaluate(run, run.val_batches, "val")
            evaluations = [time.perf_counter() - mark]
    typical, evaluation = statistics.median(steps[WARM:] or steps), statistics.median(evaluations or [0.0])
    mean = statistics.fmean(steps[WARM:] or steps)
    first = sum(steps[:WARM]) - len(steps[:WARM]) * mean
    seconds = sum(steps[:planned]) + max(0, planned - len(steps)) * typical
    loader = getattr(
        run.train_batches.loader, "inner", run.train_batches.loader
    )  # of augmented rows: the rows as they are
    if isinstance(loader, KeptPictures) and not loader.is_complete:
        later = progress.num_steps - max(len(steps), progress.steps_per_epoch)  # steps, which wait for no decoding
        seconds -= max(0, later) * min(typical, run.train_batches.waited / len(steps))
    num_evaluations = math.ceil(progress.num_steps / progress.eval_every)
    return Timing(typical, evaluation, len(steps), num_evaluations, seconds, mean, first)


def thaw(run: TrainState, change: Change) -> bool:
    """Train what is frozen too, as the run will from a step on, and go back to its start. Returns whether it will.

    change: the one of the run's that does it, taken out of them before `timing`.
    """
    progress = run.progress
    if change.at >= progress.num_steps:
        return False
    run.phases.changes["unfreeze"] = change
    run.phases.repeat(run, {"unfreeze": change.at})
    progress.step, progress.evaluated_at, progress.stop_reason = 0, 0, None
    return True


def memory(run: TrainState, x: Tree, y: Tree, num_rows: int, eval_rows: int) -> Memory:
    """Memory of a run after `timing`, which creates its gradients and optimizer state. x, y: one batch of num_rows.
    eval_rows: the number of rows in an evaluation's batch."""
    modules = (run.model, run.loss_fn)
    run.average.begin()  # it may only begin later
    weights = {id(t): t for module in modules for t in (*module.parameters(), *module.buffers())}.values()
    best = (value for value in run.weights().values() if isinstance(value, Tensor))
    loaders = [b.loader for b in (run.train_batches, run.val_batches, run.test_batches) if b is not None]
    data = [getattr(loader, name, None) for loader in loaders for name in ("x", "y")]
    saved, widest = _saved(run, x, y, [*weights]), _widest(run, x) * eval_rows // num_rows
    return Memory(
        weights=_bytes(weights) + _bytes(best) + _bytes(run.average.tensors.values()),
        gradients=_bytes(t.grad for t in weights if t.grad is not None),
        optimizer=_bytes(kept_tensors(run.optimizer)),
        activations=max(saved, widest),
        data=_bytes({id(t): t for part in data for t in tree.leaves(part)}.values()),
    )


def _saved(run: TrainState, x: Tree, y: Tree, weights: list[Tensor]) -> int:
    """Bytes that autograd keeps for backward, the batch among them, each storage once."""
    known = {t.untyped_storage().data_ptr() for t in weights}
    kept = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tree.leaves((x, y))}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    run.model.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), run.autocast():
        loss = run.loss(run.call(x), y, x)
    del loss
    return sum(kept.values())


def _widest(run: TrainState, x: Tree) -> int:
    """Bytes of the layer with the largest input and output, in a forward without gradients."""
    sizes = [0]

    def weigh(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        sizes.append(_bytes({id(t): t for t in tree.leaves((inputs, output))}.values()))

    with ExitStack() as hooks, torch.no_grad():
        for module in run.model.modules():
            if not list(module.children()):
                hooks.enter_context(module.register_forward_hook(weigh))
        run.model.eval()
        run.call(x)
    return max(sizes)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
