"""A metric by its name in torchmetrics, or of your own: what it takes of a batch, and what its result means."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.data import tree
from trainer.device import widest_dtype

UNCOUNTED = -100  # the target that a metric of one class leaves out
Feed = Callable[[Any, Any], tuple[Any, Any]]  # what Task.for_metrics gives -> what the metric takes


@dataclass
class Named:
    """metric: a torchmetrics.Metric, which may hold the state of an earlier evaluation. mode: max or min, its better
    direction; None where it does not say. size: of a result that has a value for each class, label or output.

    positive: the class or label that it is about; None for all. is_curve: whether the value of a class needs rows of
    it, and is_two_sided: rows of others too. Else the class has to be in a target or a prediction."""

    column: str
    metric: Any
    mode: str | None
    feed: Feed
    size: int = 1
    positive: int | None = None
    is_curve: bool = False
    is_two_sided: bool = False

    def update(self, answer: Any, truth: Any) -> None:
        """Add a batch, as Task.for_metrics gives it."""
        answer, truth = self.feed(answer, truth)
        if widest_dtype(tree.device(truth)) is not torch.float64:  # on MPS
            answer, truth = (tree.mapped(Tensor.cpu, part) for part in (answer, truth))
        self.metric.to(tree.device(truth))
        with quiet():
            self.metric.update(answer, truth)

    def result(self) -> Tensor:
        """What the metric gives: (1,), or a value for each class, label or output (size,). Raises ValueError for a
        result that is neither."""
        with quiet():
            found = self.metric.compute()
        first = found[0] if isinstance(found, tuple) and found else found  # the rest tells at which threshold
        first = torch.as_tensor(first) if isinstance(first, (int, float)) else first
        if not isinstance(first, Tensor) or tuple(first.shape) not in ((), (1,), (self.size,)):
            shape = f"of shape {tuple(first.shape)}" if isinstance(first, Tensor) else f"in a {type(found).__name__}"
            raise ValueError(f"it gives numbers {shape}, not one")
        return first.detach().to("cpu", torch.float64).reshape(-1)

    def of_each(self, occurrence: Mapping[str, Tensor]) -> Tensor:
        """The result, with NaN for each class that does not count. occurrence: how often each class is true (truths)
        and predicted (guesses), and the count of all; empty where it is not known."""
        values = self.result()
        truths, guesses = (occurrence.get(name) for name in ("truths", "guesses"))
        if self.positive is not None and truths is not None and guesses is not None:
            if not self.is_curve:  # defined without rows of the class
                return values
            truths, guesses = truths[self.positive, None], guesses[self.positive, None]
        if truths is None or guesses is None or truths.shape != values.shape:
            return values
        occurs = truths + guesses > 0
        if self.is_curve:
            occurs = (truths > 0) & ((truths < occurrence["count"]) | (not self.is_two_sided))
        return torch.where(occurs, values, torch.nan)


def parts(metric: Any) -> list[Any]:
    """A metric and those in it, which hold states of their own."""
    return [part for part in metric.modules() if hasattr(part, "_reductions")]


def settle(metric: Any) -> None:
    """Let a metric add up in float64, and not look for other processes itself: named_totals.py merges their states."""
    for part in parts(metric):
        part.sync_on_compute = part._to_sync = False
        for name, start in part._defaults.items():
            if isinstance(start, Tensor) and start.is_floating_point():
                part._defaults[name] = start.double()
        part.reset()


@contextmanager
def quiet() -> Iterator[None]:
    """Within: torchmetrics' warnings are not shown, such as those for a class without rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def as_it_is(answer: Any, truth: Any) -> tuple[Any, Any]:
    """Both unchanged."""
    return answer, truth


def predicted(answer: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """The class of each row, position or pixel."""
    return answer.argmax(1), truth


def one_class(positive: int, ignored: int, choice: bool, answer: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """One class against all others."""
    guess = (answer.argmax(1) == positive).long() if choice else answer[:, positive]
    return guess, torch.where(truth == ignored, UNCOUNTED, (truth == positive).long())


def one_label(positive: int, answer: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """One label of several."""
    return answer[:, positive], truth[:, positive]


def flat(answer: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """(N, outputs), or (N,) for one."""
    answer, truth = (part.reshape(len(part), -1) for part in (answer, truth))
    return (answer[:, 0], truth[:, 0]) if truth.shape[1] == 1 else (answer, truth)
