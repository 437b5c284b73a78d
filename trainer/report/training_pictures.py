"""Training pictures as the model saw them: the first rows of epoch 0, augmented."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from trainer.build.build import Setup
from trainer.config import asked_augmentation
from trainer.data.batches import TrainBatches
from trainer.disk.figures import Figure, Pictures
from trainer.errors import TrainerError
from trainer.processes.signals import abandonable
from trainer.tasks.figures import pictures
from trainer.text import counted

MOST = 16
LEAST = 0.005  # the share of a class that is named


def shown(batches: TrainBatches, setup: Setup) -> list[Figure]:
    """Sixteen training pictures in the units of the data, with their classes or shares of classes; nothing in a run
    whose pictures stay as they are."""
    if not asked_augmentation.is_asked(setup.config):
        return []
    loader, rows, splits = batches.loader, batches.order(0)[: batches.batch_size], setup.splits
    try:
        with abandonable:
            x, y = loader.load(next(iter(loader.fetch([rows], 0))))
    except (TrainerError, OSError):  # a file that is gone by now must not fail a run that has ended
        return []
    raw = pictures.of_input(splits.preprocessing.x.inverse(x)[:MOST].cpu())
    if raw is None:
        return []
    drawn, labels = (
        pictures.of_floats(raw),
        _labels(y, splits.facts.classes if splits.facts.task == "classes" else None),
    )
    caption = f"{counted(len(drawn), 'row')} of the first epoch, augmented, as the model saw them"
    each = [(label, [one]) for label, one in zip(labels or [""] * MOST, drawn, strict=False)]
    return [Pictures("Training pictures", caption, [""], each)]


def _labels(y: Any, classes: Sequence[str] | None) -> list[str]:
    """The class of each row, or its shares: '70% cat + 30% dog'; nothing for other targets."""
    if classes is None or not isinstance(y, Tensor) or y.ndim > 1 + y.is_floating_point():
        return []
    if not y.is_floating_point():
        return [classes[number] if 0 <= number < len(classes) else "ignored" for number in y[:MOST].tolist()]
    shares = [{classes[place]: share for place, share in enumerate(row) if share >= LEAST} for row in y[:MOST].tolist()]
    return [" + ".join(f"{share:.0%} {name}" for name, share in row.items()) or "ignored" for row in shares]
