"""The range test of L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", arXiv 1506.01186, section 3.3,
in the form that fastai made popular: the learning rate grows by a constant factor each step, and the suggestion is the
rate where the averaged loss falls most steeply over log(rate).
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from trainer.events import Stepped
from trainer.loop import train
from trainer.optim.groups import asked_of_us
from trainer.optim.ratios import of
from trainer.state import TrainState

FIRST, LAST = 1e-7, 10.0
NUM_STEPS = 160  # 20 a decade
HALF = 5  # steps on either side, a quarter of a decade, for averages and slopes
DIVERGED = 4.0  # times the lowest averaged loss: the test ends there
FELL = 0.02  # share of the first loss: the lowest must be below it by that

Curve = Sequence[tuple[float, float]]  # (learning rate, loss averaged around it), rates rising


def sweep(run: TrainState) -> Curve:
    """Take NUM_STEPS steps with rising rates of optimizer.lr; stop early where the loss diverges."""
    losses: list[float] = []
    lowest, ratios = math.inf, of(run.optimizer)
    _set_rate(run, rate(0), ratios)
    for event in train(run):
        if not isinstance(event, Stepped):
            continue
        loss = event.loss.item()
        if not math.isfinite(loss):
            break
        losses.append(loss)
        recent = statistics.fmean(losses[-HALF:])
        lowest = min(lowest, recent)
        if recent > DIVERGED * lowest:
            break
        _set_rate(run, rate(event.step), ratios)
    return [(rate(step), loss) for step, loss in enumerate(averaged(losses))]


def rate(step: int) -> float:
    """The learning rate of step 0, 1, …"""
    growth: float = (LAST / FIRST) ** (step / (NUM_STEPS - 1))
    return FIRST * growth


def averaged(losses: Sequence[float]) -> list[float]:
    """Means over up to HALF steps on either side, the same number on both, so that the average does not lag."""
    reaches = [min(HALF, n, len(losses) - 1 - n) for n in range(len(losses))]
    return [statistics.fmean(losses[n - reach : n + reach + 1]) for n, reach in enumerate(reaches)]


def suggest(curve: Curve) -> tuple[float, float] | None:
    """(the rate where the averaged loss falls most steeply, the rate where it is lowest), or None if it never falls."""
    losses = [loss for _, loss in curve]
    if len(losses) <= 2 * HALF:
        return None
    bottom = min(range(len(losses)), key=losses.__getitem__)
    if losses[bottom] > losses[0] - FELL * abs(losses[0]):
        return None
    inner = range(HALF, min(bottom, len(losses) - HALF - 1) + 1)
    steepest = min(inner, key=lambda n: losses[n + HALF] - losses[n - HALF], default=None)
    return None if steepest is None else (curve[steepest][0], curve[bottom][0])


def settings(node: Mapping[str, Any], first: float, rate: float) -> list[str]:
    """What is typed to train at a rate: optimizer.lr, and the rates of the groups that have one of their own, which
    keep their ratio to it. node, first: the optimizer's, and its rate, as it was tried."""
    own = [group.get("lr", group.get("optimizer", {}).get("lr")) for group in asked_of_us(node).get("groups", [])]
    words = [f"++optimizer.groups.{n}.lr={rate * lr / first:.2g}" for n, lr in enumerate(own) if lr is not None]
    return [f"optimizer.lr={rate:.2g}", *words]


def shown(curve: Curve) -> Curve:
    """The part of a curve to show: up to where, after its lowest point, the loss is 1.5 times the first one."""
    bottom = min(range(len(curve)), key=lambda n: curve[n][1])
    ends = (n + 1 for n in range(bottom, len(curve)) if curve[n][1] > 1.5 * curve[0][1])
    return curve[: next(ends, len(curve))]


def _set_rate(run: TrainState, rate: float, ratios: Sequence[float]) -> None:
    """Give optimizer.lr a value; groups with rates of their own keep their ratio to it."""
    for group, ratio in zip(run.optimizer.param_groups, ratios, strict=True):
        group["lr"] = rate * ratio
