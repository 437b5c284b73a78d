"""What a task's own metrics and those by name are computed from, over a whole split, from uneven batches and ranks."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, zip_longest
from typing import Any

import torch
from torch import Tensor

from trainer.data.tree import Tree
from trainer.errors import TrainerError, described
from trainer.processes.ranks import Ranks
from trainer.tasks.named_metric import Named, parts
from trainer.tasks.task import Task
from trainer.tasks.totals import Totals


def begin(task: Task, names: Sequence[str]) -> Totals:
    """The totals of an evaluation. names: of the task's own metrics to measure."""
    own = task.totals(names)
    return WithNamed(own, task) if task.named else own


class WithNamed(Totals):
    """The task's own totals, and the states of its metrics by name."""

    def __init__(self, own: Totals, task: Task) -> None:
        super().__init__(own.names)
        self.own, self.task = own, task
        self.occurrence = task.totals(("f1",)) if task.facts.classes is not None else Totals(())  # of each class
        for named in task.named:
            named.metric.reset()

    def add_loss(self, loss: Tensor, denominator: Tensor) -> None:
        self.own.add_loss(loss, denominator)

    def add(self, prediction: Tree, y: Tree) -> None:
        self.own.add(prediction, y)
        self.occurrence.add(prediction, y)
        answer, truth = self.task.for_metrics(prediction, y)
        for named in self.task.named:
            with told(named):
                named.update(answer, truth)

    def add_ranks(self, ranks: Ranks) -> None:
        self.own.add_ranks(ranks)
        self.occurrence.add_ranks(ranks)
        if ranks.size > 1:
            for named in self.task.named:
                for part in parts(named.metric.cpu()):
                    merge(part, ranks.gather((part.update_count, dict(part.metric_state))))

    def reduce(self, split: str, terms: Sequence[str] = ()) -> dict[str, float]:
        found = {f"{split}/{name}": float(values.nanmean()) for name, values in self._of_named().items()}
        return self.own.reduce(split, terms) | found

    def of_each(self) -> dict[str, Tensor]:
        return self.own.of_each() | {name: values for name, values in self._of_named().items() if len(values) > 1}

    def _of_named(self) -> dict[str, Tensor]:
        """{metric: its value for each class, label or output, or (1,)}, NaN for a class that does not occur."""
        occurrence = {name: value.to("cpu", torch.float64) for name, value in self.occurrence.sums.items()}
        found = {}
        for named in self.task.named:
            with told(named):
                found[named.column] = named.of_each(occurrence)
        return found


@contextmanager
def told(named: Named) -> Iterator[None]:
    """Within: an error of a metric names it. Raises TrainerError."""
    try:
        yield
    except TrainerError:
        raise
    except Exception as error:
        raise TrainerError(f"the metric {named.column}: {described(error)}", "metrics=[]") from error


def merge(metric: Any, states: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
    """Give a torchmetrics.Metric the state of all ranks. states: (number of batches, state) of each rank; one without
    a batch has nothing to add. The batches of states that are kept whole are put back in their order."""
    known = [state for count, state in states if count]
    for name, reduce in metric._reductions.items() if known else ():
        found = [state[name] for state in known]
        if isinstance(found[0], list):
            value: Any = [item for item in chain.from_iterable(zip_longest(*found)) if item is not None]
        else:
            value = reduce(torch.stack(found)) if reduce is not None else torch.stack(found)
        setattr(metric, name, value)
    metric._update_count = sum(count for count, _ in states)
