"""Test-time mirroring: the answer for a picture is the mean of those for it and for its mirror image."""

import copy
from dataclasses import dataclass

from torch import Tensor

from trainer.data.tree import Tree
from trainer.errors import ConfigError
from trainer.inference import means
from trainer.inference.model import Trained

LEFT_RIGHT = 3  # axis of pictures (B, C, H, W)
TASKS = ("classes", "labels", "numbers")  # with one answer a picture


@dataclass
class Mirrored(Trained):
    """A trained model whose outputs stand for the mean over a picture and its mirror image: of probabilities, where the
    task has some, else of the outputs. temperature: of the model, by which each of the two is calibrated."""

    temperature: float | None = None

    def outputs(self, raw: Tree, batch: int = 0) -> Tree:
        """See Trained.outputs. raw: pictures (B, C, H, W)."""
        if not isinstance(raw, Tensor):
            raise ConfigError("--mirror takes pictures (channels, height, width)", "predict without --mirror")
        both = [super(Mirrored, self).outputs(rows, batch) for rows in (raw, raw.flip(LEFT_RIGHT))]
        if self.temperature is not None:
            both = [output / self.temperature for output in both]
        return means.mean(self.task.name, both, self.fit.class_axis)


def mirrored(model: Trained) -> Mirrored:
    """The same model, with mirroring. Raises ConfigError for one of no pictures, or with answers about places."""
    facts = model.facts
    if model.preprocessing.table is not None or not facts.is_plain or len(facts.input_shape) != 3:
        text = f"--mirror is for pictures (channels, height, width), but this run's inputs are {facts.input_shape}"
        raise ConfigError(text, "predict without --mirror")
    if facts.task not in TASKS or model.fit.path:
        text = f"--mirror is for one answer a picture: classes, labels or numbers, not {facts.task}"
        raise ConfigError(text, "predict without --mirror")
    made = Mirrored(**vars(model), temperature=model.task.temperature)
    made.task = copy.copy(model.task)
    made.task.temperature = None
    return made
