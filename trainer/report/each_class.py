"""The metrics by name of a split, with the current weights, for each class, label or output."""

from collections.abc import Iterable, Sequence

from trainer.data.tree import Tree
from trainer.disk.json_text import finite
from trainer.disk.outcome import EachClass
from trainer.loop import predict
from trainer.state import TrainState
from trainer.tasks import named_totals

MOST = 1000  # classes above which nothing is kept


def measure(
    run: TrainState, batches: Iterable[tuple[Tree, Tree, int]], outputs: Sequence[str] = ()
) -> EachClass | None:
    """The values of the metrics that were asked for; None where none has any. outputs: the names of numbers."""
    task, size = run.task, run.facts.num_outputs
    own = [name for name in run.metrics if name in task.more and name not in task.modes]
    if not 1 < size <= MOST or not (own or any(named.size > 1 for named in task.named)):
        return None
    totals = named_totals.begin(task, own)
    for _, prediction, y, _ in predict(run, batches):
        totals.add(run.fit(prediction), run.fit.target(y))
    found = totals.of_each()
    values = {name: list(map(finite, row.tolist())) for name, row in found.items() if len(row) == size}
    names = run.facts.classes or (outputs if len(outputs) == size else list(map(str, range(size))))
    return EachClass(names, values) if values else None
