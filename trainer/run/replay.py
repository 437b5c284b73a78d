"""The source of the first NaN or infinity, found by replaying the run, so that ordinary steps cost nothing.

A step that meets NaN ruins the weights, and afterwards its source is lost. But a run can be repeated bit for bit, from
its last good checkpoint or its first step, up to the bad step; hooks then show the first module whose output is not
finite.
"""

import dataclasses
import math
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainer import checkpoint
from trainer.build.build import Setup, build
from trainer.data import tree
from trainer.data.batches import Window
from trainer.data.earlier import Earlier
from trainer.data.tree import Tree
from trainer.device import dtype_name
from trainer.events import Stepped
from trainer.guards.finding import Finding
from trainer.loop import train
from trainer.processes import signals
from trainer.state import TrainState

REPLAY_SECONDS = 60.0  # checkpoints are 30 s apart by default, and the replay takes about as long as the run did


def explain(setup: Setup, folder: Path) -> Finding | None:
    """Replay a run that has diverged. None after a signal, or a time limit."""
    plain = dataclasses.replace(setup.config, guards="none", explain=0, compile="none", graph=False)
    earlier = Earlier(setup.splits.preprocessing, setup.splits.fingerprint)
    run, _ = build(plain, download=False, earlier=earlier)
    if (newest := checkpoint.newest(run, folder)) is not None:
        checkpoint.load(run, *newest)
    try:
        return replay(run)
    except signals.Stop:
        return None


class _NotFinite(Exception):
    """Raised before an optimizer step on a loss or gradients that are not finite: the weights are still good."""

    def __init__(self, *, is_loss: bool) -> None:
        super().__init__()
        self.is_loss = is_loss


def replay(run: TrainState) -> Finding | None:
    """Train until something is not finite. None after a signal, or after REPLAY_SECONDS."""
    begun = run.progress.step
    deadline = time.monotonic() + REPLAY_SECONDS
    last_window: list[Window] = []
    shares: list[Tensor | None] = []  # of the batches whose loss is still to come
    step, loss_of = run.step, run.loss

    def remembering(state: TrainState, window: Window) -> tuple[Tensor, Tensor | None]:
        last_window[:], shares[:] = [window], window.shares
        return step(state, window)

    def checked(prediction: Tree, y: Tree, x: Tree) -> Tensor:
        loss = loss_of(prediction, y, x)
        if torch.is_grad_enabled() and _counts(shares.pop(0)) and not bool(loss.isfinite().all()):
            raise _NotFinite(is_loss=True)
        return loss

    def check_gradients(optimizer: Any, args: Any, kwargs: Any) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not math.isfinite(nn.utils.get_total_norm(gradients).item()):
            raise _NotFinite(is_loss=False)

    run.step, run.loss = remembering, checked
    handle = run.optimizer.register_step_pre_hook(check_gradients)
    try:
        for event in train(run):
            if signals.stop_requested() is not None or time.monotonic() > deadline:
                return None
            if not isinstance(event, Stepped):
                continue
            if (bad := _bad_parameter(run)) is not None:
                return _after_the_step(run, bad, event.step)
    except _NotFinite as found:
        return _in_the_step(run, last_window[0], is_loss=found.is_loss)
    finally:
        handle.remove()
    return _unrepeatable(f"a replay from step {begun:,} met no NaN or infinity")


def _counts(share: Tensor | None) -> bool:
    """Whether a batch has a target that counts. Without one its loss is 0/0, which a step leaves out."""
    return share is None or bool(share != 0)


def _unrepeatable(what: str) -> Finding:
    return Finding("not finite", "the run", what, "something in it does not depend on the seed alone", "trainer verify")


def _bad_parameter(run: TrainState) -> str | None:
    named = [*run.model.named_parameters(), *run.loss_fn.named_parameters("loss")]
    return next((name for name, p in named if not bool(p.isfinite().all())), None)


def _lr(run: TrainState) -> float:
    lr: float = run.optimizer.param_groups[0]["lr"]
    return lr


def _after_the_step(run: TrainState, name: str, step: int) -> Finding:
    what = f"the optimizer made {name} infinite; its gradient was finite"
    why = f"learning rate {_lr(run):g} times the gradient is too large for {str(run.dtype).removeprefix('torch.')}"
    return Finding("not finite", f"step {step:,}", what, why, f"optimizer.lr={_lr(run) / 10:g}, or clip_grad_norm=1")


def _in_the_step(run: TrainState, window: Window, *, is_loss: bool) -> Finding:
    """Repeat forward over the window whose loss or gradients are bad, batch by batch, with hooks on every module."""
    progress = run.progress
    epoch, first = divmod(progress.step, progress.steps_per_epoch)
    run.seed_step()
    run.model.train()
    for batch, (x, y, _, share, _) in enumerate(window, first * run.train_batches.accumulate + 1):
        where = f"step {progress.step + 1:,} (batch {batch} of epoch {epoch + 1})"
        if (source := source_of(run, x, y, with_loss=_counts(share))) is not None:
            return Finding("not finite", where, *source)
    if is_loss:
        return _unrepeatable(f"step {progress.step + 1:,} met no NaN or infinity when it was repeated")
    what = "forward and loss are finite, a gradient is not"
    why = "backward overflows, or divides by 0 (sqrt, norm, log)"
    return Finding("not finite", where, what, why, f"optimizer.lr={_lr(run) / 10:g}, or an epsilon inside the root")


def source_of(run: TrainState, x: Tree, y: Tree, *, with_loss: bool = True) -> tuple[str, str, str] | None:
    """(what, why, remedy) of the first value that is not finite on a batch's way through model and, if it counts,
    loss."""
    for name, some in (("input", x), ("target", y)):
        for path, values in tree.named(some):
            if (row := _bad_row(values)) is not None:
                part = f"{name} {path}".rstrip()
                what = f"the {part} of sample {row + 1} in the batch holds {_kind(values)}"
                why = "a single such value ruins the whole loss"
                return what, why, "clean the data: drop or fill the missing values"
    sources: list[tuple[str, str, str]] = []

    def hook(path: str, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        bad = next((part for part in tree.named(output) if _is_bad(part[1])), None)
        if sources or bad is None:
            return
        key, values = bad
        size = f", from inputs of up to {_largest(tree.leaves((args, kwargs))):.3g}"
        weights = _largest(module.parameters(recurse=False))
        size += f" and weights of up to {weights:.3g}" if weights else ""
        what = f"{path} ({type(module).__name__}) is the first module that makes {_kind(values)}"
        what += f" in its {'term' if module is run.loss_fn else 'output'} {key!r}" if key else ""
        dtype = dtype_name(values.dtype)
        if weights:
            why = f"steps that are too large have driven its numbers out of the range of {dtype}"
            sources.append((what + size, why, f"optimizer.lr={min(_lr(run) / 10, 0.01):g}, or clip_grad_norm=1"))
        else:
            why = f"it divides by 0, takes a root or log of a number that has none, or leaves the range of {dtype}"
            sources.append((what + size, why, f"an epsilon or a clamp in {path}"))

    named = [(path or type(module).__name__, module) for path, module in run.model.named_modules()]
    if with_loss:
        named += [(path or "the loss", module) for path, module in run.loss_fn.named_modules()]
    handles = [module.register_forward_hook(partial(hook, path), with_kwargs=True) for path, module in named]
    try:
        with torch.no_grad(), run.autocast():
            run.loss(run.call(x), y, x)
    finally:
        for handle in handles:
            handle.remove()
    return sources[0] if sources else None


def _largest(values: Iterable[Any]) -> float:
    return max((t.detach().abs().max().item() for t in values if isinstance(t, Tensor) and t.numel()), default=0.0)


def _is_bad(value: Any) -> bool:
    return isinstance(value, Tensor) and not bool(value.isfinite().all())


def _bad_row(values: Tensor) -> int | None:
    if not values.is_floating_point():
        return None
    bad = ~values.reshape(len(values), -1).isfinite().all(1)
    return int(bad.nonzero()[0]) if bool(bad.any()) else None


def _kind(values: Tensor) -> str:
    return "NaN" if bool(values.isnan().any()) else "infinity"
