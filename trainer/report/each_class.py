"""The metrics by name of a split, with the current weights, for each class, label or output."""

from collections.abc import Iterable

from trainer.data.tree import Tree
from trainer.disk.json_text import finite
from trainer.disk.outcome import EachClass
from trainer.loop import predict
from trainer.state import TrainState
from trainer.tasks.named_totals import WithNamed

MOST = 1000  # classes above which nothing is kept


def measure(run: TrainState, batches: Iterable[tuple[Tree, Tree, int]]) -> EachClass | None:
    """The values; None where no metric has any."""
    if not any(1 < named.size <= MOST for named in run.task.named):
        return None
    totals = WithNamed(run.task.totals(()), run.task)
    for _, prediction, y, _ in predict(run, batches):
        totals.add(run.fit(prediction), run.fit.target(y))
    size = run.facts.num_outputs
    values = {
        name: [finite(value) for value in found.tolist()]
        for name, found in totals.of_each().items()
        if len(found) == size > 1
    }
    return EachClass(run.facts.classes or [str(place) for place in range(size)], values) if values else None
