"""Overfit one batch: nearly any model can, and if one cannot, the cause is easy to find."""

import math
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from trainer.build.sizes import num_trained
from trainer.config.settings import Settings
from trainer.data import row_ids, tree
from trainer.data.tree import Tree
from trainer.diagnosis import short_run
from trainer.events import Stepped
from trainer.guards import running, start
from trainer.guards.finding import Finding
from trainer.listeners.guards import FIRST, RECENT, Guards
from trainer.loop import train
from trainer.run import header
from trainer.state import TrainState
from trainer.terminal.chart import chart
from trainer.terminal.screen import Screen
from trainer.text import WIDTH, counted

MOST_STEPS = 500
MOST_SECONDS = 120.0
LEARNED = 0.1  # share of the loss of guessing; with ln(10) for ten classes, a probability of 0.79 for the right one
SMALL = 1e-6  # the least share of a label that is guessed: 0 would cost infinity for a single exception
FAR = 1000  # times the steps taken: a loss that would reach the goal within them is still falling
LOWEST_0 = (*start.ERRORS, nn.BCEWithLogitsLoss, nn.BCELoss)


def overfit(composed: Settings, screen: Screen) -> int:
    """Train on one batch until it is learned. Returns 0 if it is, else prints the reason and returns 1. Of a loss whose
    lowest value is unknown, it says how far it has fallen, and returns 0 if it has."""
    plain: dict[str, Any] = {"scheduler": short_run.CONSTANT, "augment": {}}  # mixed labels cost more than 0 at best
    run, setup = short_run.prepare(composed, MOST_STEPS, **plain)
    header.show(screen, run, setup)
    findings = list(setup.findings)
    short_run.keep_one_batch(run)
    guards = Guards(run, findings.append, chosen=setup.splits.preprocessing.table is not None)
    window = next(run.windows())
    batches = [(x, y) for x, y, *_ in window]
    size = f"the batch of {window.num_samples}"
    bounds = loss_range(run, [y for _, y in batches])
    goal = -math.inf if bounds is None else bounds[0] + LEARNED * (bounds[1] - bounds[0])
    losses: list[float] = []
    deadline = time.monotonic() + MOST_SECONDS
    for event in train(run):
        guards(event)
        if isinstance(event, Stepped):
            losses.append(event.loss.item())
            if losses[-1] <= goal or time.monotonic() > deadline:
                break
    points = [(float(step), loss) for step, loss in enumerate(losses, 1)]
    lines = chart({"train": points}, title="loss", width=WIDTH, height=10, ascii_only=screen.ascii_only)
    screen.say("", *lines, "")
    fell = f"loss {losses[0]:.4g} -> {losses[-1]:.4g} in {counted(len(losses), 'step')}"
    if losses[-1] <= goal:
        screen.say(f"learned  {size}: {fell}", style="bold green")
        return 0
    traps = [finding for finding in findings if not finding.note and finding.check != "flat"]  # flat sends you here
    has_fallen = running.has_learned(losses[:FIRST], losses[-RECENT:], [], losses[0], running.SURE)
    if bounds is None and has_fallen and not traps:
        unknown = f"how low {type(run.loss_fn).__name__} can get is unknown, so whether that is enough is yours to say"
        screen.entry("fell", [f"{size}: {fell}", unknown], style="bold green")
        return 0
    wanted = f"; wanted {goal:.3g}" if bounds is not None else ""
    screen.say(f"not learned: {fell}{wanted}", style="bold red")
    for finding in traps or [why_not(run, batches, losses, goal)]:
        header.show_finding(screen, finding)
    return 1


def loss_range(run: TrainState, targets: Sequence[Tree]) -> tuple[float, float] | None:
    """(the lowest possible loss, the loss of guessing) on batches with these targets; None where they are unknown.

    With label smoothing e over C classes, the lowest loss is the entropy of (1 - e + e/C, e/C, …). Numbers are guessed
    by their mean; with a squared error, the loss of that is their variance. Labels are guessed by how often each
    occurs.
    """
    loss_fn = run.loss_fn
    if (chance := start.chance_level(loss_fn, run.facts.num_outputs)) is not None:
        count, smoothing = run.facts.num_outputs, getattr(loss_fn, "label_smoothing", 0.0)
        shares = [1 - smoothing + smoothing / count] + [smoothing / count] * (count - 1)
        return -sum(p * math.log(p) for p in shares if p > 0), chance
    if type(loss_fn) not in LOWEST_0 or not all(isinstance(y, Tensor) for y in targets):
        return None
    y = torch.cat(list(targets))
    if not y.is_floating_point():
        return None
    guess = y.mean(0, keepdim=True).expand_as(y)
    guess = guess.logit(SMALL) if isinstance(loss_fn, nn.BCEWithLogitsLoss) else guess
    with torch.no_grad():
        return 0.0, abs(loss_fn(guess, y).item())


def why_not(run: TrainState, batches: Sequence[tuple[Tree, Tree]], losses: Sequence[float], goal: float) -> Finding:
    """The likeliest reason why the loss of a batch has not reached its goal, when no guard has tripped."""
    finding, rate = partial(Finding, "overfit", "the batch"), run.optimizer.param_groups[0]["lr"]
    same, num_rows = contradictions(batches)
    if same:
        what = f"{same} of {counted(num_rows, 'sample')} have the same input as another sample, but another target"
        return finding(what, "no function tells them apart", "look for missing columns")
    if falling(losses, goal):
        why = f"{counted(len(losses), 'step')} at learning rate {rate:g}: too few"
        return finding("its loss was still falling", why, "trainer lr-find, for a higher rate")
    noise = max((m.p for m in run.model.modules() if isinstance(m, nn.modules.dropout._DropoutNd)), default=0)
    if noise > 0:
        why = "it drops other numbers in each step"
        return finding(f"dropout of {noise:g} is in the way", why, "model.dropout=0, for this test")
    num_weights, size = num_trained(run.model), sum(leaf.numel() for x, _ in batches for leaf in tree.leaves(x))
    if num_weights < 10 * size:
        samples, numbers = counted(num_rows, "sample"), counted(size // num_rows, "number")
        what = f"{counted(num_weights, 'weight')} for {samples} of {numbers} each"
        return finding(what, "the model may be too small for it", "model=mlp model.hidden=[256,256]")
    why = f"no guard trips, and the learning rate is {rate:g}"
    return finding("its loss no longer falls", why, "trainer lr-find")


def falling(losses: Sequence[float], goal: float) -> bool:
    """Whether the last fifth of the losses is below the fifth before it, by three times the noise, and the loss falls
    fast enough to reach the goal within FAR times the steps taken."""
    tail = max(2, len(losses) // 5)
    before, last = torch.tensor(losses[-2 * tail : -tail]), torch.tensor(losses[-tail:])
    gain = (before.mean() - last.mean()).item()
    noise = ((before.var() + last.var()) / tail).sqrt().item()
    return gain > 3 * noise and losses[-1] - goal < FAR * len(losses) * gain / tail


def contradictions(batches: Sequence[tuple[Tree, Tree]]) -> tuple[int, int]:
    """(The number of samples with the same input as another sample, but another target; the number of samples)."""
    targets: dict[int, list[int]] = {}
    for x, y in batches:
        rows = [row_ids.of_tensors(*(leaf.detach().cpu() for leaf in tree.leaves(part))) for part in (x, y)]
        for of_x, of_y in zip(*(ids.tolist() for ids in rows), strict=True):
            targets.setdefault(of_x, []).append(of_y)
    return sum(len(ys) for ys in targets.values() if len(set(ys)) > 1), sum(map(len, targets.values()))
