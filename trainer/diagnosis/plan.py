"""What a run would take, found out on a run that is built and thrown away: layers, learning rates, memory, time."""

import statistics
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainer.events import Evaluated, Stepped
from trainer.loop import evaluate, train
from trainer.optim.scheduler import OnPlateau
from trainer.schedules import Constant
from trainer.state import TrainState

MOST_STEPS = 1_000_000  # of a schedule that is followed
ENOUGH = 0.5  # seconds of steps that are timed
WARM = 3  # steps that do not count as typical


@dataclass(frozen=True)
class Layer:
    """A module with parameters of its own, or without children. output: its shape for a batch, if it is one tensor."""

    name: str
    kind: str
    output: tuple[int, ...] | None
    num_parameters: int


@dataclass(frozen=True)
class Memory:
    """Bytes that a training step holds on its device. weights: with the copy of the best ones. activations: what
    autograd keeps of one batch for backward, or an evaluation's widest batch, if that is more."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    data: int

    @property
    def total(self) -> int:
        """All of it; what torch and CUDA take for themselves comes on top."""
        return self.weights + self.gradients + self.optimizer + self.activations + self.data


@dataclass(frozen=True)
class Timing:
    """Seconds: of a typical step (of `num_timed`), of one evaluation, and of all steps with the slow first ones."""

    step: float
    evaluation: float
    num_timed: int
    num_evaluations: int
    train: float


def layers(model: nn.Module, x: Tensor) -> list[Layer]:
    """The layers in the order in which they run on a batch x; those that do not run come last."""
    found: dict[str, Layer] = {}
    names = {
        module: name
        for name, module in model.named_modules()
        if not list(module.children()) or any(True for _ in module.parameters(recurse=False))
    }

    def note(module: nn.Module, shape: tuple[int, ...] | None) -> None:
        own = sum(p.numel() for p in module.parameters(recurse=False))
        name = names[module] or type(module).__name__
        found.setdefault(name, Layer(name, type(module).__name__, shape, own))

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        note(module, tuple(output.shape) if isinstance(output, Tensor) else None)

    handles = [module.register_forward_hook(after) for module in names]
    model.eval()
    try:
        with torch.no_grad():
            model(x)
    finally:
        for handle in handles:
            handle.remove()
    for module in names:
        note(module, None)
    return list(found.values())


def schedule(run: TrainState) -> list[tuple[float, float]]:
    """(step, learning rate) of every step; [] where it is constant, depends on evaluations, or is too long to follow.
    The run's own schedule is then over, and a constant one in its place."""
    scheduler = getattr(run.scheduler, "scheduler", run.scheduler)
    if isinstance(run.scheduler, (Constant, OnPlateau)) or run.progress.num_steps > MOST_STEPS:
        return []
    run.scheduler = Constant(run.optimizer)
    points = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch expects optimizer.step() between
        for step in range(1, run.progress.num_steps + 1):
            points.append((float(step), float(run.optimizer.param_groups[0]["lr"])))
            scheduler.step()
    return points


def how_it_changes(run: TrainState) -> str:
    """In words, where `schedule` has no points."""
    if isinstance(run.scheduler, OnPlateau):
        return "falls when the monitored metric stands still"
    return "stays" if isinstance(run.scheduler, Constant) else "has a schedule too long to follow here"


def timing(run: TrainState) -> Timing:
    """Train for a moment with the loop itself, then extrapolate. The run moves on by as many steps."""
    progress, steps, evaluations = run.progress, [], []
    begun = mark = time.perf_counter()
    for event in train(run):
        wait(run.device)
        now = time.perf_counter()
        if isinstance(event, Stepped):
            steps.append(now - mark)
        elif isinstance(event, Evaluated):
            evaluations.append(now - mark)
        if steps and now - begun > ENOUGH:
            break
        mark = time.perf_counter()
    if not evaluations and run.val_batches is not None:
        mark = time.perf_counter()
        evaluate(run, run.val_batches, "val")
        evaluations = [time.perf_counter() - mark]
    typical = statistics.median(steps[WARM:] or steps)
    num_evaluations = -(-progress.num_steps // progress.eval_every)
    return Timing(
        step=typical,
        evaluation=statistics.median(evaluations) if evaluations else 0.0,
        num_timed=len(steps),
        num_evaluations=num_evaluations,
        train=sum(steps) + (progress.num_steps - len(steps)) * typical,
    )


def memory(run: TrainState, x: Tensor, y: Tensor, eval_rows: int) -> Memory:
    """What the run holds; after `timing`, so that gradients and the optimizer's state are there. x, y: one batch.
    eval_rows: of an evaluation's batch."""
    parameters = list(run.model.parameters())
    weights = {id(t): t for t in [*parameters, *run.model.buffers()]}.values()
    state = [v for entry in run.optimizer.state.values() for v in entry.values() if isinstance(v, Tensor)]
    loaders = [run.train_batches.loader] + [b.loader for b in (run.val_batches, run.test_batches) if b is not None]
    data = [t for loader in loaders for t in (getattr(loader, "x", None), getattr(loader, "y", None))]
    kept = _saved(run, x, y, [*weights])
    widest = _widest(run.model, x) * eval_rows // len(x)
    return Memory(
        weights=2 * _bytes(weights),
        gradients=_bytes(p.grad for p in parameters if p.grad is not None),
        optimizer=_bytes(state),
        activations=max(kept, widest),
        data=_bytes(t for t in data if isinstance(t, Tensor)),
    )


def _saved(run: TrainState, x: Tensor, y: Tensor, weights: list[Tensor]) -> int:
    """Bytes that autograd keeps for backward, the batch among them, each storage once."""
    own = {t.untyped_storage().data_ptr() for t in weights}
    kept = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in (x, y)}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    run.model.train()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), run.autocast():
        loss = run.loss_fn(run.model(x), y)
    del loss
    return sum(kept.values())


def _widest(model: nn.Module, x: Tensor) -> int:
    """Bytes of the largest input and output that one layer has at a time, in a forward without gradients."""
    most = 0

    def after(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        nonlocal most
        most = max(most, _bytes({id(t): t for t in (*inputs, output) if isinstance(t, Tensor)}.values()))

    handles = [module.register_forward_hook(after) for module in model.modules() if not list(module.children())]
    model.eval()
    with torch.no_grad():
        model(x)
    for handle in handles:
        handle.remove()
    return most


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
