"""A learning rate by trying: the range test of L. N. Smith, "Cyclical Learning Rates for Training Neural Networks",
arXiv 1506.01186, section 3.3, in the form that fastai made usual: the rate grows by a factor each step, and the
steepest fall of the smoothed loss over log(rate) is taken.
"""

import math
from collections.abc import Sequence

from trainer.events import Stepped
from trainer.loop import train
from trainer.state import TrainState

FIRST, LAST = 1e-7, 10.0
NUM_STEPS = 160  # 20 a decade
SMOOTHING = 0.9  # of an exponential mean over steps, corrected for its start
DIVERGED = 4.0  # times the lowest smoothed loss, where the test ends
SLOPE_OVER = 5  # steps on either side over which a slope is taken
FELL = 0.02  # share of the first loss by which the lowest has to be below it

Curve = Sequence[tuple[float, float]]  # (learning rate, smoothed loss), rates rising


def sweep(run: TrainState) -> Curve:
    """Take NUM_STEPS steps with rising rates, or fewer where the loss leaves."""
    curve: list[tuple[float, float]] = []
    average, lowest = 0.0, math.inf
    _set_rate(run, FIRST)
    for event in train(run):
        if not isinstance(event, Stepped):
            continue
        loss = event.loss.item()
        if not math.isfinite(loss):
            break
        average = SMOOTHING * average + (1 - SMOOTHING) * loss
        smooth = average / (1 - SMOOTHING**event.step)
        curve.append((FIRST * (LAST / FIRST) ** ((event.step - 1) / (NUM_STEPS - 1)), smooth))
        lowest = min(lowest, smooth)
        if smooth > DIVERGED * lowest:
            break
        _set_rate(run, FIRST * (LAST / FIRST) ** (event.step / (NUM_STEPS - 1)))
    return curve


def suggest(curve: Curve) -> tuple[float, float] | None:
    """(the rate where the smoothed loss falls most steeply, the rate where it is lowest); None where it never falls."""
    losses = [loss for _, loss in curve]
    if len(losses) <= 2 * SLOPE_OVER:
        return None
    bottom = min(range(len(losses)), key=losses.__getitem__)
    if losses[bottom] > losses[0] - FELL * abs(losses[0]):
        return None
    inner = range(SLOPE_OVER, min(bottom, len(losses) - SLOPE_OVER - 1) + 1)
    slopes = {n: losses[n + SLOPE_OVER] - losses[n - SLOPE_OVER] for n in inner}
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
