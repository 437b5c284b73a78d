"""Whether probabilities can be trusted: how far confidence is from accuracy, and the temperature that mends it.

Pure functions of logits or probabilities (N, classes) and class indices (N,) int64.
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trainer.data import seeds

BINS = 15
PARTS = 5  # of the rows in cross-fitting
LOW, HIGH, TRIES = 1e-2, 1e2, 200  # temperatures that are looked at, and steps
CLOSE = 1e-12  # relative: of the last step


@dataclass(frozen=True)
class Bin:
    """The rows whose confidence, the probability of the guess, lies in one of BINS equal parts of 0 to 1. confidence,
    accuracy: their means, 0 without a row."""

    count: int
    confidence: float
    accuracy: float


def sureness(probabilities: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """(The probability of each guess, whether it is right), both (N,)."""
    confidence, guess = probabilities.double().max(1)
    return confidence, guess == y


def reliability(confidence: Tensor, right: Tensor, bins: int = BINS) -> list[Bin]:
    """The bins of a reliability diagram; bin k holds confidences above k/bins, up to (k + 1)/bins. confidence, right:
    see sureness."""
    place = (confidence * bins).ceil().long().sub(1).clamp(0, bins - 1)
    zeros = confidence.new_zeros(bins)
    counts = zeros.index_add(0, place, torch.ones_like(confidence))
    sums = [zeros.index_add(0, place, values) / counts.clamp_min(1) for values in (confidence, right.double())]
    return [Bin(int(n), float(c), float(a)) for n, c, a in zip(counts, *sums, strict=True)]


def gap(parts: list[Bin]) -> float:
    """The expected calibration error: the mean of |accuracy - confidence| over the bins, by their rows (Naeini et al.
    2015; Guo et al. 2017)."""
    num_rows = sum(part.count for part in parts)
    return sum(part.count * abs(part.accuracy - part.confidence) for part in parts) / max(1, num_rows)


def ece(probabilities: Tensor, y: Tensor, bins: int = BINS) -> float:
    """The expected calibration error, see gap."""
    return gap(reliability(*sureness(probabilities, y), bins))


def brier(probabilities: Tensor, y: Tensor) -> Tensor:
    """(N,): the squared distance of the probabilities from the truth, summed over the classes, from 0 to 2; of two
    classes that of the second alone, as scikit-learn has it. Its mean is the Brier score (Brier 1950)."""
    truth = functional.one_hot(y, probabilities.shape[1]).double()
    distance = (probabilities.double() - truth).square().sum(1)
    return distance / 2 if probabilities.shape[1] == 2 else distance


def nll(logits: Tensor, y: Tensor) -> float:
    """The mean negative log-likelihood."""
    return float(functional.cross_entropy(logits.double(), y))


def scores(logits: Tensor, y: Tensor) -> dict[str, float]:
    """What a temperature should lower, by name."""
    return {"nll": nll(logits, y), "ece": ece(logits.double().softmax(1), y)}


def temperature(logits: Tensor, y: Tensor) -> float:
    """The temperature with the least nll of logits / temperature, between LOW and HIGH (Guo et al. 2017, On Calibration
    of Modern Neural Networks). It changes no order of the classes, so accuracy stays. Answers that are all right have
    none, since a lower one is always better: they keep 1.

    With b = 1/T the derivative of the nll is the mean of Σ p z - z_y, which grows with b, by the mean of the variance
    of z under p: Newton's steps, as long as they stay between the values that are known to be too low and too high."""
    z = logits.double() - logits.double().amax(1, keepdim=True)
    truth = z.gather(1, y[:, None])[:, 0]
    if bool((logits.argmax(1) == y).all()):
        return 1.0
    low, b, high = 1 / HIGH, 1.0, 1 / LOW
    for _ in range(TRIES):
        p = (z * b).softmax(1)
        mean = (p * z).sum(1)
        slope, growth = float((mean - truth).mean()), float(((p * z * z).sum(1) - mean.square()).mean())
        low, high = (b, high) if slope < 0 else (low, b)
        last, b = b, b - slope / growth if growth > 0 else low
        if not low < b < high:
            b = (low * high) ** 0.5
        if abs(b - last) <= CLOSE * last:
            break
    return 1 / b


def cross_fitted(logits: Tensor, y: Tensor, row: Tensor) -> Tensor:
    """Logits, float64, of PARTS parts of the rows, each divided by the temperature of the other parts. row: (N,) int64,
    the place of the row that an entry is from; its part is a function of it and of the number of rows."""
    num_rows = int(row.max()) + 1
    part = seeds.permutation(num_rows, seeds.derive(0, "cross-fitting", num_rows))[row] % PARTS
    scaled = logits.double().clone()
    for number in part.unique().tolist():
        mine = part == number
        scaled[mine] /= temperature(logits[~mine], y[~mine])
    return scaled
