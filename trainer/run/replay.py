"""NaN and infinity: where the first one came from, found by going the way once more, so that a step costs nothing.

A step that meets NaN ruins the weights, and by then it is too late to ask. But a run can be repeated bit for bit: from
its last good checkpoint, or from its first step, up to the step that is bad, where hooks see which module's output is
the first that is not finite.
"""

import dataclasses
import math
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainer import checkpoint
from trainer.build.build import build
from trainer.config.schema import Config
from trainer.data.windows import Window
from trainer.events import Stepped
from trainer.guards.finding import Finding
from trainer.loop import train
from trainer.processes import signals
from trainer.state import TrainState

REPLAY_SECONDS = 60.0  # checkpoints are 30 s apart as shipped, and the way back takes about as long as it did


def explain(config: Config, folder: Path) -> Finding | None:
    """Replay a run that has diverged. config: as built, see `build.Setup`. None where nobody wants to wait for it."""
    run, _ = build(dataclasses.replace(config, guards="none", explain=0, compile="none"), download=False)
    if (found := checkpoint.newest(run, folder)) is not None:
        checkpoint.load(run, *found)
    try:
        return replay(run)
    except signals.Stop:
        return None


class _Bad(Exception):
    """Raised before an optimizer step on gradients that are not finite: the weights are still good."""


def replay(run: TrainState) -> Finding | None:
    """Train until something is not finite. None where nothing is, within REPLAY_SECONDS."""
    begun = run.progress.step
    deadline = time.monotonic() + REPLAY_SECONDS
    seen: list[Window] = []
    step = run.step

    def remembering(state: TrainState, window: Window) -> tuple[Tensor, Tensor | None]:
        seen[:] = [window]
        return step(state, window)

    def stop_if_bad(optimizer: Any, args: Any, kwargs: Any) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not math.isfinite(nn.utils.get_total_norm(gradients).item()):
            raise _Bad

    run.step = remembering
    handle = run.optimizer.register_step_pre_hook(stop_if_bad)
    try:
        for event in train(run):
            if signals.stop_requested() is not None or time.monotonic() > deadline:
                return None
            if not isinstance(event, Stepped):
                continue
            bad = [name for name, p in run.model.named_parameters() if not bool(p.isfinite().all())]
            if bad:
                return _after_the_step(run, bad[0], event.step)
            if not bool(event.loss.isfinite()):
                run.progress.step -= 1
                raise _Bad
    except _Bad:
        return _in_the_step(run, seen[0])
    finally:
        handle.remove()
    what = f"going the way from step {begun:,} once more met nothing that is not finite"
    return Finding("not finite", "the run", what, "something in it is not a function of the seed", "trainer verify")


def _after_the_step(run: TrainState, name: str, step: int) -> Finding:
    lr = run.optimizer.param_groups[0]["lr"]
    what = f"the optimizer made {name} infinite; its gradient was finite"
    why = f"learning rate {lr:g} times the gradient is too large for {str(run.dtype).removeprefix('torch.')}"
    return Finding("not finite", f"step {step:,}", what, why, f"optimizer.lr={lr / 10:g}, or clip_grad_norm=1")


def _in_the_step(run: TrainState, window: Window) -> Finding:
    """Forward once more over the window whose gradients are bad, batch by batch, with hooks on every module."""
    progress = run.progress
    epoch, first = divmod(progress.step, progress.steps_per_epoch)
    run.seed_step()
    run.model.train()
    for position, (x, y, _, _) in enumerate(window):
        batch = first * run.train_batches.accumulate + position + 1
        where = f"step {progress.step + 1:,} (batch {batch} of epoch {epoch + 1})"
        source = source_of(run, x, y)
        if source is not None:
            return Finding("not finite", where, *source)
    lr = run.optimizer.param_groups[0]["lr"]
    what, why = (
        "forward and loss are finite, a gradient is not",
        "backward overflows, or divides by 0 (sqrt, norm, log)",
    )
    return Finding("not finite", where, what, why, f"optimizer.lr={lr / 10:g}, or an epsilon inside the root")


def source_of(run: TrainState, x: Tensor, y: Tensor) -> tuple[str, str, str] | None:
    """(what, why, remedy) of the first thing that is not finite in a batch's way through model and loss."""
    for name, values in (("input", x), ("target", y)):
        if (row := _bad_row(values)) is not None:
            what = f"the {name} of sample {row + 1} in the batch holds {_kind(values)}"
            return what, "one such number makes the whole loss so", "clean the data: drop or fill what is missing there"
    found: list[tuple[str, str, str]] = []

    def keep(path: str) -> Any:
        def hook(module: nn.Module, given: tuple[Any, ...], output: Any) -> None:
            if found or not isinstance(output, Tensor) or bool(output.isfinite().all()):
                return
            size = f", from inputs of up to {_largest(given):.3g}"
            weights = _largest(module.parameters(recurse=False))
            size += f" and weights of up to {weights:.3g}" if weights else ""
            what = f"{path} ({type(module).__name__}) is the first module that makes {_kind(output)}{size}"
            dtype = str(output.dtype).removeprefix("torch.")
            if weights:
                lr = run.optimizer.param_groups[0]["lr"]
                why = f"steps that are too large have driven its numbers out of {dtype}"
                found.append((what, why, f"optimizer.lr={min(lr / 10, 0.01):g}, or clip_grad_norm=1"))
            else:
                why = f"it divides by 0, takes a root or log of what has none, or leaves {dtype}"
                found.append((what, why, f"an epsilon or a clamp in {path}"))

        return hook

    handles = [m.register_forward_hook(keep(path or type(m).__name__)) for path, m in run.model.named_modules()]
    handles.append(run.loss_fn.register_forward_hook(keep("the loss")))
    try:
        with torch.no_grad(), run.autocast():
            run.loss_fn(run.model(x), y)
    finally:
        for handle in handles:
            handle.remove()
    return found[0] if found else None


def _largest(values: Iterable[Any]) -> float:
    return max((t.detach().abs().max().item() for t in values if isinstance(t, Tensor) and t.numel()), default=0.0)


def _bad_row(values: Tensor) -> int | None:
    if not values.is_floating_point():
        return None
    bad = ~values.reshape(len(values), -1).isfinite().all(1)
    return int(bad.nonzero()[0]) if bool(bad.any()) else None


def _kind(values: Tensor) -> str:
    return "NaN" if bool(values.isnan().any()) else "infinity"
