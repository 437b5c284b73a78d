"""Mistakes that show during training. These guards look at numbers that the run has anyway, and rarely at gradients."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from trainer.guards.finding import Finding, names
from trainer.text import counted, decimal

FLAT_AFTER = 200  # steps at about the full learning rate; a model that learns has improved by 1% long before
FELL = 0.01  # share of the loss of guessing, or of the first loss, by which it must fall
SURE, UNSURE = 3.0, 1.0  # standard errors that show learning, and those that leave it open
HALF = 0.5  # below this share of the very first loss, one number is enough to compare with

LOW = 1e-3  # share of its first value below which a learning rate moves nothing
LEFT = 1 / 3  # share of the steps still to go that is long before the end
LASTING = 1 / 20  # share of the steps that it stays low, so that a restart does not count

# In a run that learns, gradients shrink or stay; those of layers that begin at zero grow tenfold. A lasting hundredfold
# growth over the first logged steps is a mistake.
EXPLODED = 100.0
LASTS = 3  # logged steps, so that one bad batch does not count

# Below float32's resolution, a layer's part of the gradient is lost beside the largest.
VANISHED = float(torch.finfo(torch.float32).eps)

RISING = 0.5  # share by which val/loss is above its minimum; the hint at the end uses 0.1
RISING_FOR = 5  # evaluations since the minimum


def has_learned(
    first: Sequence[float], recent: Sequence[float], guesses: Sequence[float], start: float, errors: float
) -> bool:
    """Whether recent losses show that something is learned. guesses: the losses of guessing, see start.guesses; empty
    if they are unknown. first: of the first logged steps. start: of the very first step. errors: how many standard
    errors count as a difference.

    A loss below that of guessing has learned, however early. Where guessing is unknown, or only estimated from targets,
    a loss that has fallen since the first steps has learned too.
    """
    if guesses and _below(recent, guesses, errors):
        return True
    if len(guesses) == 1:  # exact, as ln(classes) is
        return False
    return _below(recent, first, errors) or (not guesses and start - max(recent) > (1 - HALF) * abs(start))


def _below(recent: Sequence[float], others: Sequence[float], errors: float) -> bool:
    """Whether `recent` is below `others` by the share FELL, and either by so many standard errors of the difference or
    without an exception: where a loss falls fast, its standard error is mostly the fall itself."""
    (level, level_error), (mean, error) = _mean_and_squared_error(others), _mean_and_squared_error(recent)
    clearly = level - mean > errors * math.sqrt(level_error + error) or max(recent) < min(others)
    return level - mean > FELL * abs(level) and clearly


def validation_falls(rows: Sequence[float], guesses: Sequence[float]) -> bool:
    """Whether val/loss, of each evaluation so far, shows that something is learned. It is always of the same rows, and
    so has no noise from their choice."""
    start = guesses[0] if len(guesses) == 1 else rows[0]
    return start - rows[-1] > FELL * abs(start)


def _mean_and_squared_error(values: Sequence[float]) -> tuple[float, float]:
    """The mean and the square of its standard error."""
    mean = sum(values) / len(values)  # statistics.fmean raises if the sum is infinite
    return mean, sum((value - mean) * (value - mean) for value in values) / max(1, len(values) - 1) / len(values)


def flat(first: Sequence[float], recent: Sequence[float], step: int, lr: float, norm: float | None) -> Finding:
    """The finding if `has_learned` was never true in FLAT_AFTER steps. norm: of all gradients, if known."""
    what = f"it was {sum(first) / len(first):.4g} and is {sum(recent) / len(recent):.4g} after {counted(step, 'step')}"
    why = f"the model learns nothing at learning rate {lr:g}" + (
        f", gradient norm {norm:.3g}" if norm is not None else ""
    )
    remedy = "trainer doctor --overfit shows whether it can learn one batch; trainer lr-find suggests a learning rate"
    return Finding("flat", "the loss is flat", what, why, remedy)


def exploding(start: float, recent: Sequence[float], lr: float) -> list[Finding]:
    """Recent gradient norms, before clipping, all above EXPLODED times `start`, that of the first logged steps."""
    if start == 0 or min(recent) <= EXPLODED * start:
        return []
    what = f"the norm of all gradients has grown from {start:.3g} to {recent[-1]:.3g}"
    why = f"each step overshoots further: the learning rate {lr:g} is too high"
    remedy = f"clip_grad_norm={float(f'{2 * start:.1g}'):g}, or optimizer.lr={lr / 10:g}"
    return [Finding("exploding", "gradients", what, why, remedy)]


def vanishing(model: nn.Module) -> list[Finding]:
    """Weights whose gradient is below VANISHED times that of the largest layer: deep saturating layers, dead units.

    Call it after some steps: behind a layer that begins at zero, the first gradients are rightly 0. Biases and norms
    are left out: the gradient of a bias before a batch norm is rightly 0 too.
    """
    weights = {n: p.grad for n, p in model.named_parameters() if p.grad is not None and p.ndim > 1}
    if len(weights) < 2:
        return []
    norms = dict(zip(weights, torch.stack([g.norm() for g in weights.values()]).tolist(), strict=True))
    largest = max(norms.values())
    small = [name for name, norm in norms.items() if norm <= VANISHED * largest]
    if not small or not math.isfinite(largest):
        return []
    worst = min(small, key=norms.__getitem__)
    what = f"gradients vanish in {names(small)}: {norms[worst]:.2g}, against {largest:.2g} in the largest layer"
    why = "those layers do not learn: saturated activations in a deep network, or only dead units"
    remedy = "model.activation=relu model.norm=batch, if the model has these keys; fewer layers, or skip connections"
    return [Finding("vanishing", type(model).__name__, what, why, remedy)]


def overfitting(rows: Sequence[Mapping[str, float]], rising: float, lasting: int) -> Mapping[str, float] | None:
    """The evaluation with the lowest val/loss, if val/loss has risen since by the share `rising` while train/loss fell.

    rows: the metrics of each evaluation. lasting: the least number of evaluations since the minimum.
    """
    if not rows or any("val/loss" not in row for row in rows):
        return None
    lowest = min(rows, key=lambda row: row["val/loss"])
    since = len(rows) - 1 - list(rows).index(lowest)
    risen = rows[-1]["val/loss"] > lowest["val/loss"] * (1 + rising)
    return lowest if since >= lasting and risen and rows[-1]["train/loss"] < lowest["train/loss"] else None


def rising(rows: Sequence[Mapping[str, float]]) -> list[Finding]:
    """Overfitting that is clear enough to report during the run."""
    lowest = overfitting(rows, RISING, RISING_FOR)
    if lowest is None:
        return []
    low, last, epoch = lowest["val/loss"], rows[-1]["val/loss"], lowest["epoch"]
    what = f"val/loss has risen from {low:.4g} at epoch {decimal(epoch)} to {last:.4g}"
    why = "train/loss still falls: the model memorises its training rows"
    remedy = f"early_stop.patience={RISING_FOR}, a smaller model, model.dropout=0.2 or optimizer.weight_decay=0.1"
    return [Finding("overfitting", "validation", what, why, remedy)]


def low_rate(lr: float, first: float, step: int, num_steps: int) -> list[Finding]:
    """A note that the schedule has brought the learning rate to nearly nothing, with many steps still to go."""
    what = f"it has fallen from {first:g} to {lr:.2g}, with {num_steps - step:,} of {num_steps:,} steps still to go"
    why = "steps this small hardly change a weight"
    remedy = "fewer epochs, or a schedule that falls later; a plateau: scheduler.min_lr, scheduler.patience"
    return [Finding("low rate", "the learning rate", what, why, remedy, note=True)]
