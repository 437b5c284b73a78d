"""Whether probabilities can be trusted: how far confidence is from accuracy, and the temperature that mends it.

Pure functions of logits or probabilities (N, classes) and class indices (N,) int64.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

BINS = 15
LOW, HIGH, TRIES = 1e-2, 1e2, 200  # temperatures that are looked at, and halvings of the interval


@dataclass(frozen=True)
class Bin:
    """The rows whose confidence, the probability of the guess, lies in one of BINS equal parts of 0 to 1. confidence,
    accuracy: their means, 0 without a row."""

    count: int
    confidence: float
    accuracy: float


def reliability(probabilities: Tensor, y: Tensor, bins: int = BINS) -> list[Bin]:
    """The bins of a reliability diagram; bin k holds confidences above k/bins, up to (k + 1)/bins."""
    confidence, guess = probabilities.double().max(1)
    right = (guess == y).double()
    place = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)
    zeros = confidence.new_zeros(bins)
    counts = zeros.index_add(0, place, torch.ones_like(confidence))
    sums = [zeros.index_add(0, place, values) / counts.clamp_min(1) for values in (confidence, right)]
    return [Bin(int(n), float(c), float(a)) for n, c, a in zip(counts, *sums, strict=True)]


def ece(probabilities: Tensor, y: Tensor, bins: int = BINS) -> float:
    """The expected calibration error: the mean of |accuracy - confidence| over the bins, by their rows (Naeini et al.
    2015; Guo et al. 2017)."""
    parts = reliability(probabilities, y, bins)
    return sum(part.count * abs(part.accuracy - part.confidence) for part in parts) / max(1, len(y))


def brier(probabilities: Tensor, y: Tensor) -> float:
    """The mean over rows of the squared distance of the probabilities from the truth, summed over the classes (Brier
    1950): from 0 to 2. For two classes it is twice the score of the second class alone."""
    truth = functional.one_hot(y, probabilities.shape[1]).double()
    return float((probabilities.double() - truth).square().sum(1).mean())


def nll(logits: Tensor, y: Tensor, temperature: float = 1.0) -> float:
    """The mean negative log-likelihood of logits / temperature."""
    return float(functional.cross_entropy(logits.double() / temperature, y))


def temperature(logits: Tensor, y: Tensor) -> float:
    """The temperature with the least nll, between LOW and HIGH (Guo et al. 2017, On Calibration of Modern Neural
    Networks). It changes no order of the classes, so accuracy stays.

    With b = 1/T the derivative of the nll is the mean of Σ p z - z_y, which grows with b: its root is bracketed."""
    z = logits.double()
    truth = z.gather(1, y[:, None])[:, 0]

    def slope(b: float) -> float:
        return float(((z * b).softmax(1) * z).sum(1).sub(truth).mean())

    low, high = 1 / HIGH, 1 / LOW
    if slope(low) >= 0:
        return HIGH
    if slope(high) <= 0:
        return LOW
    for _ in range(TRIES):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
        if high / low < 1 + 1e-12:
            break
    return float(1 / (low * high) ** 0.5)
