"""Learning one batch by heart: what nearly any model can, and if it cannot, the reason is near."""

import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from trainer.config.settings import Settings
from trainer.diagnosis import short_run
from trainer.events import Stepped
from trainer.guards import start
from trainer.guards.finding import Finding
from trainer.listeners.guards import Guards
from trainer.loop import train
from trainer.run import header
from trainer.state import TrainState
from trainer.terminal.chart import chart
from trainer.terminal.screen import Screen
from trainer.text import WIDTH

MOST_STEPS = 500
MOST_SECONDS = 120.0
LEARNED = 0.1  # share of the loss of guessing; of ln(10) it is a probability of 0.79 for what is right
FAR = 1000  # times the steps taken, within which a loss that falls on as it does has to be there


def overfit(composed: Settings, screen: Screen) -> int:
    """Train on one batch until it is learned. Returns 0 where it is, else 1, with the reason."""
    run, setup = short_run.prepare(composed, MOST_STEPS, scheduler=short_run.CONSTANT)
    header.show(screen, run, setup)
    found = list(setup.findings)
    run.train_batches = short_run.OneBatch.of(run.train_batches)
    run.progress.steps_per_epoch = 1
    guards = Guards(run, found.append)
    x, y = _whole(run)
    floor, level = goal(run, y)
    losses: list[tuple[float, float]] = []
    deadline = time.monotonic() + MOST_SECONDS
    learned = False
    for event in train(run):
        guards(event)
        if isinstance(event, Stepped):
            losses.append((event.step, event.loss.item()))
            learned = losses[-1][1] - floor <= LEARNED * (level - floor)
            if learned or time.monotonic() > deadline:
                break
    lines = chart({"train": losses}, title="loss", width=WIDTH, height=10, ascii_only=screen.ascii_only)
    screen.say("\n" + "\n".join(lines) + "\n")
    steps, first, last = len(losses), losses[0][1], losses[-1][1]
    fell = f"loss {first:.4g} -> {last:.4g} in {steps} step{'s' * (steps != 1)}"
    if learned:
        screen.say(f"learned  the batch of {len(x)}: {fell}", style="bold green")
        return 0
    screen.say(f"not learned: {fell}; wanted {floor + LEARNED * (level - floor):.3g}", style="bold red")
    traps = [finding for finding in found if not finding.note and finding.check != "flat"]  # that one sends you here
    for finding in traps or [why_not(run, x, y, [loss for _, loss in losses], floor + LEARNED * (level - floor))]:
        header.show_finding(screen, finding)
    return 1


def goal(run: TrainState, y: Tensor) -> tuple[float, float]:
    """(the lowest loss there can be, the loss of guessing) on a batch with targets y.

    With label smoothing e over C classes the lowest is the entropy of (1 - e + e/C, e/C, …). Numbers are guessed by
    their mean: for squares that is their variance, and any other loss is compared with its mean prediction likewise.
    """
    classes = start.chance_level(run.loss_fn, run.facts.num_outputs)
    if classes is not None:
        count, smoothing = run.facts.num_outputs, getattr(run.loss_fn, "label_smoothing", 0.0)
        shares = [1 - smoothing + smoothing / count] + [smoothing / count] * (count - 1)
        return -sum(p * math.log(p) for p in shares if p > 0), classes
    guess = y.mean(0, keepdim=True).expand_as(y) if y.is_floating_point() else y
    with torch.no_grad():
        return 0.0, abs(run.loss_fn(guess, y).item())


def why_not(run: TrainState, x: Tensor, y: Tensor, losses: Sequence[float], wanted: float) -> Finding:
    """The likeliest reason that a batch has not come to the loss `wanted`, where no guard has tripped."""
    where, rate = "the batch", run.optimizer.param_groups[0]["lr"]
    same = contradictions(x, y)
    if same:
        what = f"{same} of {len(x)} samples have an input that another has too, with another target"
        return Finding("overfit", where, what, "no function tells them apart", "look for columns that are missing")
    if falling(losses, wanted):
        why = f"{len(losses)} steps at learning rate {rate:g} are too few"
        return Finding("overfit", where, "its loss was still falling", why, "trainer lr-find, for a higher rate")
    noisy = [m.p for m in run.model.modules() if isinstance(m, nn.modules.dropout._DropoutNd) and m.p > 0]
    if noisy:
        why = "what it drops is drawn anew each step"
        what = f"dropout of {max(noisy):g} is in the way"
        return Finding("overfit", where, what, why, "model.dropout=0, for this test")
    num_weights = sum(p.numel() for p in run.model.parameters() if p.requires_grad)
    if num_weights < 10 * x.numel():
        what = f"{num_weights:,} weights for {len(x)} samples of {x[0].numel():,} numbers each"
        return Finding("overfit", where, what, "the model may be too small for it", "model=mlp model.hidden=[256,256]")
    why = f"no guard trips, and the loss stands still at learning rate {rate:g}"
    return Finding("overfit", where, "it has gone as far as it goes", why, "trainer lr-find")


def falling(losses: Sequence[float], wanted: float) -> bool:
    """Whether the last fifth of the losses is below the one before, by thrice the noise, and fast enough to come to
    the loss `wanted` some day."""
    tail = max(2, len(losses) // 5)
    before, last = torch.tensor(losses[-2 * tail : -tail]), torch.tensor(losses[-tail:])
    gain = (before.mean() - last.mean()).item()
    noise = ((before.var() + last.var()) / tail).sqrt().item()
    return gain > 3 * noise and losses[-1] - wanted < FAR * len(losses) * gain / tail


def contradictions(x: Tensor, y: Tensor) -> int:
    """Samples whose input equals another's in every bit while the target does not."""
    _, group = x.reshape(len(x), -1).unique(dim=0, return_inverse=True)
    targets = y.reshape(len(y), -1)
    return sum(int(len(targets[group == g].unique(dim=0)) > 1) * int((group == g).sum()) for g in group.unique())


def _whole(run: TrainState) -> tuple[Tensor, Tensor]:
    batches = [(x, y) for x, y, _, _ in next(run.windows())]
    return torch.cat([x for x, _ in batches]), torch.cat([y for _, y in batches])
