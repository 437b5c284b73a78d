"""Test-time mirroring: the answer for a picture is the mean of those for it and for its mirror image."""

import math

import torch
from torch import Tensor

from trainer.data.tree import Tree
from trainer.errors import ConfigError
from trainer.inference.model import Trained

LEFT_RIGHT = 3  # axis of pictures (B, C, H, W)


class Mirrored(Trained):
    """A trained model whose outputs stand for the mean over a picture and its mirror image: of probabilities, where the
    task has some, else of the outputs."""

    def outputs(self, raw: Tree, batch: int = 0) -> Tree:
        """See Trained.outputs. raw: pictures (B, C, H, W)."""
        if not isinstance(raw, Tensor):
            raise ConfigError("--mirror takes pictures (channels, height, width)", "predict without --mirror")
        both = [super(Mirrored, self).outputs(rows, batch) for rows in (raw, raw.flip(LEFT_RIGHT))]
        return MEANS[self.task.name](torch.stack(both), self.fit.class_axis)


def mirrored(model: Trained) -> Mirrored:
    """The same model, with mirroring. Raises ConfigError for one of no pictures, or with answers about places."""
    facts = model.facts
    if model.preprocessing.table is not None or not facts.is_plain or len(facts.input_shape) != 3:
        text = f"--mirror is for pictures (channels, height, width), but this run's inputs are {facts.input_shape}"
        raise ConfigError(text, "predict without --mirror")
    if facts.task not in MEANS or model.fit.path:
        text = f"--mirror is for one answer a picture: classes, labels or numbers, not {facts.task}"
        raise ConfigError(text, "predict without --mirror")
    return Mirrored(**vars(model))


def _of_classes(both: Tensor, axis: int) -> Tensor:
    """Logits whose softmax is the mean of two. both: (2, B, …), the classes along `axis` of a batch."""
    return both.log_softmax(axis + 1).logsumexp(0) - math.log(2)


def _of_labels(both: Tensor, axis: int) -> Tensor:
    """Logits whose sigmoid is the mean of two."""
    return both.sigmoid().mean(0).logit()


def _of_numbers(both: Tensor, axis: int) -> Tensor:
    return both.mean(0)


MEANS = {"classes": _of_classes, "labels": _of_labels, "numbers": _of_numbers}
