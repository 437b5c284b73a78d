"""The baseline of a run: what always giving the same answer measures, the most frequent class or the mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from trainer.disk.outcome import Predictions


@dataclass(frozen=True)
class Baseline:
    """answer: in words, such as "always answering 'no'". metrics: its own, by name; in all of them more is better."""

    answer: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)

    def missed(self, monitor: str, metrics: Mapping[str, float]) -> str | None:
        """The metric in which a model with these metrics is no better: the monitored one, or else the first that both
        have. None if the model is better, or nothing can be compared."""
        names = [name for name in (monitor, *self.metrics) if name in self.metrics and name in metrics]
        return names[0] if names and metrics[names[0]] <= self.metrics[names[0]] else None


def of_classes(names: Sequence[str], trained: Sequence[int], counts: Sequence[int]) -> Baseline:
    """The baseline of the most frequent class of the training rows. trained, counts: the rows of each class that are
    trained on and measured."""
    if not any(trained) or not any(counts):
        return Baseline()
    answer = trained.index(max(trained))
    share, num_classes = counts[answer] / sum(counts), sum(count > 0 for count in counts)
    num_seen = num_classes + (counts[answer] == 0)  # in targets or answers
    scores = {
        "acc": share,
        "f1": 2 * share / (1 + share) / num_seen,
        "balanced_acc": (counts[answer] > 0) / num_classes,
    }
    return Baseline(f"always answering '{names[answer]}'", {f"val/{name}": value for name, value in scores.items()})


def of_predictions(predictions: Predictions | None, trained: Sequence[int] | None) -> Baseline:
    """The baseline of the rows that were predicted. trained: the training rows of each class, if known."""
    if predictions is None or not (predictions.confusions or predictions.pairs):
        return Baseline()
    if predictions.classes is None:
        return Baseline("predicting the mean", {"val/r2": 0.0})
    counts = [rows for rows, *_ in predictions.scores()]
    return of_classes(predictions.classes, trained or counts, counts)
