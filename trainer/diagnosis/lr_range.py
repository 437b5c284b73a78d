"""A learning rate by trying: the range test of L. N. Smith, "Cyclical Learning Rates for Training Neural Networks",
arXiv 1506.01186, section 3.3, in the form that fastai made usual: the rate grows by a factor each step, and the
steepest fall of the averaged loss over log(rate) is taken.
"""

import math
import statistics
from collections.abc import Sequence

from trainer.events import Stepped
from trainer.loop import train
from trainer.state import TrainState

FIRST, LAST = 1e-7, 10.0
NUM_STEPS = 160  # 20 a decade
HALF = 5  # steps on either side, a quarter of a decade, over which losses are averaged and slopes taken
DIVERGED = 4.0  # times the lowest averaged loss, where the test ends
FELL = 0.02  # share of the first loss by which the lowest has to be below it

Curve = Sequence[tuple[float, float]]  # (learning rate, loss averaged around it), rates rising


def sweep(run: TrainState) -> Curve:
    """Take NUM_STEPS steps with rising rates, or fewer where the loss leaves."""
    losses: list[float] = []
    lowest = math.inf
    _set_rate(run, rate(0))
    for event in train(run):
        if not isinstance(event, Stepped):
            continue
        losses.append(event.loss.item())
        if not math.isfinite(losses[-1]):
            losses.pop()
            break
        recent = statistics.fmean(losses[-HALF:])
        lowest = min(lowest, recent)
        if recent > DIVERGED * lowest:
            break
        _set_rate(run, rate(event.step))
    return [(rate(step), loss) for step, loss in enumerate(averaged(losses))]


def rate(step: int) -> float:
    """The learning rate of step 0, 1, …"""
    growth: float = (LAST / FIRST) ** (step / (NUM_STEPS - 1))
    return FIRST * growth


def averaged(losses: Sequence[float]) -> list[float]:
    """The mean over up to HALF steps on either side, as many on both, so that no fall is seen later than it was."""
    means = []
    for n in range(len(losses)):
        reach = min(HALF, n, len(losses) - 1 - n)
        means.append(statistics.fmean(losses[n - reach : n + reach + 1]))
    return means


def suggest(curve: Curve) -> tuple[float, float] | None:
    """(the rate where the averaged loss falls most steeply, the rate where it is lowest); None where it never falls."""
    losses = [loss for _, loss in curve]
    if len(losses) <= 2 * HALF:
        return None
    bottom = min(range(len(losses)), key=losses.__getitem__)
    if losses[bottom] > losses[0] - FELL * abs(losses[0]):
        return None
    inner = range(HALF, min(bottom, len(losses) - HALF - 1) + 1)
    slopes = {n: losses[n + HALF] - losses[n - HALF] for n in inner}
    if not slopes:
        return None
    return curve[min(slopes, key=slopes.__getitem__)][0], curve[bottom][0]


def shown(curve: Curve) -> Curve:
    """The part of a curve that is worth a look: up to where the loss is above its first again, and a little further."""
    bottom = min(range(len(curve)), key=lambda n: curve[n][1])
    for n in range(bottom, len(curve)):
        if curve[n][1] > 1.5 * curve[0][1]:
            return curve[: n + 1]
    return curve


def _set_rate(run: TrainState, rate: float) -> None:
    for group in run.optimizer.param_groups:
        group["lr"] = rate
