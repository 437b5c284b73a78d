"""Traps that show while a run goes on. All of them look at numbers that the run has anyway, or at gradients, rarely."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from trainer.guards.finding import Finding, names

FLAT_AFTER = 200  # steps at about the full learning rate; what learns at all has come down by 1% long before
FELL = 0.01  # share of the first loss
CHANCE = 0.5  # a first loss below this share of chance level belongs to a model that was trained before

# The gradients of a run that learns shrink or stay; those of layers that begin at zero grow tenfold, so a hundredfold
# growth that lasts is another thing. The first logged steps are what it is measured against.
EXPLODED = 100.0
LASTS = 3  # logged steps, so that one bad batch is not it

# Below float32's resolution a layer's part in the gradient is lost beside the largest.
VANISHED = float(torch.finfo(torch.float32).eps)

RISING = 0.5  # share by which val/loss rose over its lowest; 0.1 is a hint's, at the end
RISING_FOR = 5  # evaluations since the lowest


def has_fallen(first: Sequence[float], recent: Sequence[float], chance: float | None = None) -> bool:
    """Whether recent losses are below the first ones, and below the loss of guessing where that is known, by FELL and
    by twice the standard error of the difference."""
    means = sum(first) / len(first), sum(recent) / len(recent)  # fmean raises where a sum is infinite
    squares = [sum((v - mean) * (v - mean) for v in part) for part, mean in zip((first, recent), means, strict=True)]
    variances = [
        square / max(1, len(part) - 1) / len(part) for part, square in zip((first, recent), squares, strict=True)
    ]
    start = means[0] if chance is None else min(means[0], chance)
    return start - means[1] > max(FELL * abs(start), 2 * math.sqrt(sum(variances)))


def flat(first: Sequence[float], recent: Sequence[float], step: int, lr: float, norm: float | None) -> Finding:
    """What to say where `has_fallen` has not come true in FLAT_AFTER steps. norm: of all gradients, where known."""
    what = f"it was {sum(first) / len(first):.4g} and is {sum(recent) / len(recent):.4g} after {step:,} steps"
    size = f", gradient norm {norm:.3g}" if norm is not None else ""
    why = f"nothing is learned at learning rate {lr:g}{size}"
    remedy = "trainer doctor --overfit tells whether one batch can be learned, trainer lr-find another rate"
    return Finding("flat", "the loss is flat", what, why, remedy)


def exploding(start: float, recent: Sequence[float], lr: float) -> list[Finding]:
    """Gradient norms, before clipping, all of which have grown EXPLODED-fold over `start`, the first logged steps'."""
    if start == 0 or min(recent) <= EXPLODED * start:
        return []
    what = f"the norm of all gradients has grown from {start:.3g} to {recent[-1]:.3g}"
    why = f"each step overshoots further: the learning rate {lr:g} is too high"
    remedy = f"clip_grad_norm={_round(2 * start):g}, or optimizer.lr={lr / 10:g}"
    return [Finding("exploding", "gradients", what, why, remedy)]


def vanishing(model: nn.Module) -> list[Finding]:
    """Weights whose gradient is below VANISHED times the largest layer's: deep saturating layers, dead units.

    Call it after some steps: behind a layer that begins at zero the first gradients are 0 and nothing is wrong. Biases
    and norms are left out: before a batch norm a bias has no gradient by rights.
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
    what = f"gradients vanish in {names(small)}: {norms[worst]:.2g}, where the largest layer has {largest:.2g}"
    why = "those layers do not learn: saturated activations in a deep net, or units that are all dead"
    remedy = "model.activation=relu model.norm=batch where the model has them; fewer layers, or skip connections"
    return [Finding("vanishing", type(model).__name__, what, why, remedy)]


def overfitting(rows: Sequence[Mapping[str, float]], rising: float, lasting: int) -> Mapping[str, float] | None:
    """The evaluation with the lowest val/loss, if val/loss has since risen by that share while train/loss fell.

    rows: one evaluation each. lasting: evaluations since then, at least.
    """
    if not rows or any("val/loss" not in row for row in rows):
        return None
    lowest = min(rows, key=lambda row: row["val/loss"])
    since = len(rows) - 1 - list(rows).index(lowest)
    risen = rows[-1]["val/loss"] > lowest["val/loss"] * (1 + rising)
    return lowest if since >= lasting and risen and rows[-1]["train/loss"] < lowest["train/loss"] else None


def rising(rows: Sequence[Mapping[str, float]]) -> list[Finding]:
    """`overfitting` that is plain enough to be told while the run goes on."""
    lowest = overfitting(rows, RISING, RISING_FOR)
    if lowest is None:
        return []
    what = (
        f"val/loss has risen from {lowest['val/loss']:.4g} at epoch {lowest['epoch']:g} to {rows[-1]['val/loss']:.4g}"
    )
    why = "train/loss still falls: the model learns its training rows by heart"
    remedy = f"early_stop.patience={RISING_FOR}, a smaller model, model.dropout=0.2 or optimizer.weight_decay=0.1"
    return [Finding("overfitting", "validation", what, why, remedy)]


def _round(value: float) -> float:
    return float(f"{value:.1g}")
