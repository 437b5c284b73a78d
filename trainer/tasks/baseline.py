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


def of_classes(names: Sequence[str], counts: Sequence[int]) -> Baseline:
    """The baseline of the most frequent class. counts: rows of each class."""
    if not any(counts):
        return Baseline()
    share, num_classes = max(counts) / sum(counts), sum(count > 0 for count in counts)
    scores = {"acc": share, "f1": 2 * share / (1 + share) / num_classes, "balanced_acc": 1 / num_classes}
    answer = f"always answering '{names[counts.index(max(counts))]}'"
    return Baseline(answer, {f"val/{name}": value for name, value in scores.items()})


def of_predictions(predictions: Predictions | None) -> Baseline:
    """The baseline of the rows that were predicted."""
    if predictions is None:
        return Baseline()
    if predictions.classes is None:
        return Baseline("predicting the mean", {"val/r2": 0.0})
    return of_classes(predictions.classes, [rows for rows, *_ in predictions.scores()])
