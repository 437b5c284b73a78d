"""The variance that the choice of rows gives to the mean difference of pairs: from the rows, where the metric has a
value a row, or else by drawing them again (Efron 1979)."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
DRAWS = 400  # of all rows, with replacement
Answers = tuple[Array, Array]  # (predictions, targets), a row each


def of_mean(values: Array, weights: Array | None = None) -> float:
    """The variance of the mean of values (R,) over rows that were drawn: Σ w² (x - m)² / (Σ w)² · R / (R - 1), where
    the mean m weighs each row by w, 1 for all where there are none. NaN for fewer than two rows."""
    count = len(values)
    if count < 2:
        return math.nan
    weights = weights if weights is not None else np.ones(count)
    mean = (weights * values).sum() / weights.sum()
    spread = np.square(weights * (values - mean)).sum()
    return float(spread / weights.sum() ** 2 * count / (count - 1))


def by_bootstrap(pairs: Sequence[tuple[Answers, Answers]], name: str) -> float | None:
    """The variance of the mean over pairs of metric(first) - metric(second), when the rows of their one split are drawn
    again. None for a metric that is not known here, or for targets that it is not for."""
    metric = METRICS.get(name, {}).get(kind(*pairs[0][0]))
    if metric is None:
        return None
    count, generator = len(pairs[0][0][1]), np.random.default_rng(0)
    means = []
    for _ in range(DRAWS):
        times = np.bincount(generator.integers(0, count, count), minlength=count).astype(float)
        means.append(np.mean([metric(*first, times) - metric(*second, times) for first, second in pairs]))
    found = np.array(means)
    return float(np.var(found[np.isfinite(found)], ddof=1))


def kind(prediction: Array, target: Array) -> str:
    """What the targets are: classes, labels or numbers."""
    if target.dtype.kind == "f":
        return "numbers"
    return "classes" if target.ndim == 1 and prediction.ndim == 2 else "labels"


def _classes(prediction: Array, target: Array, times: Array) -> tuple[Array, Array, Array]:
    """(hits, truths, guesses) of each class. times: how often each row was drawn."""
    guess, size, counted = prediction.argmax(1), prediction.shape[1], target >= 0
    guess, target, times = guess[counted], target[counted], times[counted]
    right = guess == target
    truths, guesses = (np.bincount(found, times, size) for found in (target, guess))
    return np.bincount(target[right], times[right], size), truths, guesses


def _mean_of(above: Array, below: Array) -> float:
    """The mean over those that occur."""
    return float((above[below > 0] / below[below > 0]).mean())


def f1_of_classes(prediction: Array, target: Array, times: Array) -> float:
    """Macro F1 over the classes that occur in targets or predictions."""
    hits, truths, guesses = _classes(prediction, target, times)
    return _mean_of(2 * hits, truths + guesses)


def balanced_accuracy(prediction: Array, target: Array, times: Array) -> float:
    """The mean recall of the classes that occur in targets."""
    hits, truths, _ = _classes(prediction, target, times)
    return _mean_of(hits, truths)


def f1_of_labels(prediction: Array, target: Array, times: Array) -> float:
    """Macro F1 over the labels."""
    guess, truth = prediction > 0.5, target > 0
    hits, both = times @ (guess & truth), times @ guess + times @ truth
    return _mean_of(2 * hits, both)


def r2(prediction: Array, target: Array, times: Array) -> float:
    """The mean over outputs of 1 - SSE / SST."""
    prediction, target = (part.reshape(len(times), -1).astype(float) for part in (prediction, target))
    centre = times @ target / times.sum()
    spread = times @ np.square(target - centre)
    return float((1 - times @ np.square(target - prediction) / spread).mean())


Metric = Callable[[Array, Array, Array], float]
METRICS: Mapping[str, Mapping[str, Metric]] = {  # by name, and by what targets are
    "f1": {"classes": f1_of_classes, "labels": f1_of_labels},
    "balanced_acc": {"classes": balanced_accuracy},
    "r2": {"numbers": r2},
}
