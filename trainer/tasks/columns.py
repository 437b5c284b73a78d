"""What predict writes in a table: columns by name, with a value for each row, or for each position of a row."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

PREDICTION, PROBABILITY, POSITION = "prediction", "probability", "position"
MOST_CLASSES = 100  # of a position above which only the probability of the predicted class has a column
MOST_NUMBERS = 1_000  # of a row with several axes above which it is no table

# {name: (rows,) or, one row after another, (rows × positions,)}. Class indices in `prediction` stand for their names.
Columns = Mapping[str, Tensor]


def of_classes(guess: Tensor, probabilities: Tensor, classes: Sequence[str]) -> Columns:
    """prediction and probability_CLASS. guess: (B,); probabilities: (B, classes)."""
    return {PREDICTION: guess} | _each(PROBABILITY, classes, probabilities)


def of_tokens(guess: Tensor, probabilities: Tensor, classes: Sequence[str]) -> Columns:
    """position, prediction and probability_CLASS, or, of very many classes, probability. guess: (B, T);
    probabilities: (B, T, classes)."""
    place = torch.arange(guess.shape[1]).repeat(len(guess))
    found = {POSITION: place, PREDICTION: guess.reshape(-1)}
    if len(classes) > MOST_CLASSES:
        return found | {PROBABILITY: probabilities.amax(-1).reshape(-1)}
    return found | _each(PROBABILITY, classes, probabilities.flatten(0, 1))


def of_labels(guess: Tensor, probabilities: Tensor, labels: Sequence[str]) -> Columns:
    """prediction_LABEL, 0 or 1, and probability_LABEL. guess, probabilities: (B, labels)."""
    return _each(PREDICTION, labels, guess) | _each(PROBABILITY, labels, probabilities)


def of_numbers(numbers: Tensor, targets: Sequence[str]) -> Columns | None:
    """prediction, or prediction_TARGET, or prediction_0_1 by the place in a row of several axes; None for a row of too
    many. numbers: (B, …)."""
    shape = tuple(numbers.shape[1:])
    flat = numbers.reshape(len(numbers), -1)
    if flat.shape[1] == 1:
        return {PREDICTION: flat[:, 0]}
    if len(shape) > 1:
        if flat.shape[1] > MOST_NUMBERS:
            return None
        places = torch.cartesian_prod(*map(torch.arange, shape)).tolist()
        return _each(PREDICTION, ["_".join(map(str, place)) for place in places], flat)
    return _each(PREDICTION, targets if len(targets) == flat.shape[1] else list(map(str, range(flat.shape[1]))), flat)


def _each(name: str, ends: Sequence[str], values: Tensor) -> dict[str, Tensor]:
    return {f"{name}_{end}": column for end, column in zip(ends, values.T.contiguous(), strict=True)}
