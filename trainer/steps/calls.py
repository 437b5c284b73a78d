"""The steps of a call: one after the other on a CPU, and as one CUDA graph on a GPU.

After a step that is not finite the rest of a call changes nothing. A CPU looks after each step. A GPU is not waited
for: each step of its graph is told whether all before it were finite, and keeps everything as it is if not.
"""

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from trainer.data import tree
from trainer.optim.several import parameters
from trainer.state import TrainState
from trainer.steps.generated import StepGraph
from trainer.steps.recording import record
from trainer.text import first_line
from trainer.watch import each_is_finite

log = logging.getLogger(__name__)


class Given(NamedTuple):
    """What a step reads: the row indices of its batches, their shares, and the numbers of its update."""

    batches: Sequence[Any]
    shares: Sequence[Tensor | None]
    numbers: Tensor


def in_turn(run: TrainState, graph: StepGraph, steps: Sequence[Given]) -> Iterator[tuple[Tensor, Tensor]]:
    """(loss, norm) of each step of a call, 0-dim, up to one that is not finite."""
    for ahead, given in enumerate(steps):
        if ahead:
            run.seed_step(ahead)
        loss, norm = graph(*given)
        yield loss, norm
        if ahead + 1 < len(steps) and not is_finite(loss, norm, parameters(run.optimizer)):
            return


@dataclass(frozen=True)
class Launch:
    """Some steps as one graph. steps, is_good: what it reads; result: the losses, the norms and whether all are
    finite, which it writes."""

    graph: Any
    steps: Sequence[Given]
    is_good: Tensor
    result: tuple[Tensor, Tensor, Tensor]

    def __call__(self, steps: Sequence[Given], is_good: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The same as `chained`. One copy a call keeps the result from the next replay."""
        held, new = tree.leaves((list(self.steps), self.is_good)), tree.leaves((list(steps), is_good))
        for dtype in dict.fromkeys(leaf.dtype for leaf in held):
            pairs = [(a, b) for a, b in zip(held, new, strict=True) if a.dtype == dtype]
            torch._foreach_copy_([a for a, _ in pairs], [b for _, b in pairs])
        self.graph.replay()
        losses, norms, is_good = (tensor.clone() for tensor in self.result)
        return losses, norms, is_good


class Launches:
    """Calls on a GPU. Two graphs are recorded: of the `size` steps of a whole call, and of a single one for calls that
    are shorter. A model that draws random numbers takes its steps one by one, since each has a seed of its own.

    obstacle: why nothing is recorded, or None.
    """

    def __init__(self, run: TrainState, graph: StepGraph, size: int) -> None:
        self.graph, self.size = graph, size
        self.obstacle: str | None = None
        self.recorded: dict[int, Launch] = {}
        self.pool: Any = None  # the memory that both share: only one runs at a time
        self.yes = torch.ones((), dtype=torch.bool, device=run.device)

    def __call__(self, run: TrainState, steps: Sequence[Given]) -> Iterator[tuple[Tensor, Tensor]]:
        """(loss, norm) of each step of a call, 0-dim, in memory of their own."""
        size = self.size if len(steps) == self.size and not self.graph.draws else 1
        is_good = self.yes
        for first in range(0, len(steps), size):
            if first:
                run.seed_step(first)
            losses, norms, is_good = self._taken(run, steps[first : first + size], first, is_good)
            yield from zip(losses.unbind(), norms.unbind(), strict=True)

    def _taken(
        self, run: TrainState, steps: Sequence[Given], first: int, is_good: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        is_ready = self.graph.generated is not None and self.graph.is_direct
        if is_ready and self.obstacle is None and len(steps) not in self.recorded:
            try:
                self.recorded[len(steps)] = self._record(steps)
            except RuntimeError as error:
                self.obstacle, self.recorded = first_line(error), {}
                log.info("compile  the step cannot be recorded as a CUDA graph: %s", self.obstacle)
            run.seed_step(first)
        take = self.recorded.get(len(steps))
        return chained(self.graph, steps, is_good) if take is None else take(steps, is_good)

    def _record(self, steps: Sequence[Given]) -> Launch:
        held, is_good = tree.mapped(Tensor.clone, (list(steps), self.yes))
        graph, result = record(lambda: chained(self.graph, held, is_good), self.pool)
        self.pool = graph.pool()
        return Launch(graph, held, is_good, result)


def chained(graph: StepGraph, steps: Sequence[Given], is_good: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Take steps, each of which changes something only if those before it were finite. Returns their losses and norms,
    each (steps,), and whether all were. is_good: whether what came before was; 0-dim bool."""
    losses, norms = [], []
    for given in steps:
        loss, norm, is_good = graph(*given, is_good)
        losses.append(loss)
        norms.append(norm)
    return torch.stack(losses), torch.stack(norms), is_good


def is_finite(loss: Tensor, norm: Tensor, weights: Sequence[Tensor]) -> bool:
    """Whether a step has left nothing that is NaN or infinite. A norm may overflow where no gradient does, so only then
    the weights are looked at."""
    numbers = loss.reshape(-1).tolist()
    return all(map(math.isfinite, numbers)) and (math.isfinite(norm.item()) or each_is_finite(weights))
