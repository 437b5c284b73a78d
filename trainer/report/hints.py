"""At most one hint for a run, from a few simple rules about its evaluations."""

from collections.abc import Mapping, Sequence

from trainer.guards.running import overfitting
from trainer.text import decimal

FALLING = 0.02  # share by which the last tenth of a run still lowered val/loss
RISING = 0.10  # share by which val/loss rose over its lowest while train/loss fell
RISING_FOR = 3  # evaluations since then


def hint(evaluations: Sequence[Mapping[str, float]], *, lr: float, finished: bool, longer: str) -> str | None:
    """What to try next, or None. evaluations: each with epoch, train/loss and, with a validation split, val/loss.
    longer: what to type to train for longer."""
    if len(evaluations) < 3:
        return None
    first, last = evaluations[0]["train/loss"], evaluations[-1]["train/loss"]
    if last > first:
        return f"the loss grew from {first:.4g} to {last:.4g}: try optimizer.lr={lr / 10:g}"
    if "val/loss" not in evaluations[-1]:
        return None
    if (best := overfitting(evaluations, RISING, RISING_FOR)) is not None:
        since = f"val/loss has risen since epoch {decimal(best['epoch'])} while train/loss fell"
        return f"{since}: a new run may stop there with early_stop.patience=5"
    *before, last = (row["val/loss"] for row in evaluations)
    if finished and last < min(before) and last < before[-max(1, len(evaluations) // 10)] * (1 - FALLING):
        return f"val/loss was still falling: {longer}"
    return None
