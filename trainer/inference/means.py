"""Several predictions as one: the mean of their probabilities, or of their numbers, in the form of an output."""

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def of_classes(several: Tensor, axis: int) -> Tensor:
    """Logits whose softmax is the mean. several: logits (K, B, …), the classes along `axis` of a batch."""
    return several.log_softmax(axis + 1).logsumexp(0) - math.log(len(several))


def of_labels(several: Tensor, axis: int) -> Tensor:
    """Logits whose sigmoid is the mean, finite where those of the members are."""
    return logsigmoid(several).logsumexp(0) - logsigmoid(-several).logsumexp(0)


def of_numbers(several: Tensor, axis: int) -> Tensor:
    """The mean."""
    return several.mean(0)


MEANS = {
    "classes": of_classes,
    "tokens": of_classes,
    "pixels": of_classes,
    "labels": of_labels,
    "numbers": of_numbers,
    "input": of_numbers,
}


def mean(task: str, several: list[Tensor], axis: int) -> Tensor:
    """The mean of outputs of a task, each (B, …). axis: of the classes."""
    return MEANS[task](torch.stack(several), axis)
