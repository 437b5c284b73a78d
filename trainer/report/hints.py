"""At most one hint a run, from a few honest rules over its evaluations."""

from collections.abc import Mapping, Sequence

from trainer.guards.running import overfitting

FALLING = 0.02  # share by which the last tenth of a run still lowered val/loss
RISING = 0.10  # share by which val/loss rose over its lowest while train/loss fell
RISING_FOR = 3  # evaluations since then

Row = Mapping[str, float]


def hint(rows: Sequence[Row], *, epochs: int, lr: float, finished: bool) -> str | None:
    """What to try next, or None. rows: one evaluation each, with epoch, train/loss and, mostly, val/loss."""
    if len(rows) < 3:
        return None
    train = [row["train/loss"] for row in rows]
    if train[-1] > train[0]:
        return f"the loss grew from {train[0]:.4g} to {train[-1]:.4g}: try optimizer.lr={lr / 10:g}"
    if "val/loss" not in rows[-1]:
        return None
    val = [row["val/loss"] for row in rows]
    if (best := overfitting(rows, RISING, RISING_FOR)) is not None:
        return f"val/loss rises since epoch {best['epoch']:g} while train/loss falls: try early_stop.patience=5"
    lowest = min(range(len(val)), key=val.__getitem__)
    before = val[-1 - max(1, len(val) // 10)]
    if finished and lowest == len(val) - 1 and val[-1] < before * (1 - FALLING):
        return f"val/loss was still falling: trainer resume latest epochs={2 * epochs}"
    return None
