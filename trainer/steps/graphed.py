"""The step as a CUDA graph: what train_step launches is recorded once for each shape of its batches, and replayed.

A step of a small model is limited by its launches: a replay is one. Nothing is compiled, and the kernels are those of
the eager step, so the results have the same bits. What may differ from step to step goes in through memory of its own:
the batches, their shares, and the learning rates, which schedulers compute on the host. Dropout reads its seed from the
generator, which is seeded before each replay as before each eager step.

The first step of each shape runs eagerly, as torch asks for before a recording.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from torch import Tensor, nn
from torch.utils import _pytree as pytree

from trainer.data import tree
from trainer.data.batches import Window
from trainer.data.tree import Tree
from trainer.loop import train_step
from trainer.optim.several import parts
from trainer.schedules import Constant
from trainer.state import TrainState
from trainer.steps import obstacles
from trainer.steps.recording import record
from trainer.text import first_line

log = logging.getLogger(__name__)

MOST = 8  # shapes to record
Result = tuple[Tensor, Tensor]  # loss and norm


@dataclass(frozen=True)
class Recorded:
    """A recorded step. window: what it reads; replay: runs it; result: what it writes; gradients: of each parameter."""

    window: Window
    replay: Callable[[], None]
    result: Result
    gradients: list[tuple[nn.Parameter, Tensor | None]]


class GraphedStep:
    """A step like train_step: takes (run, window); returns the loss and, in a step that needs it, the gradient norm.

    obstacle: why all steps run eagerly, or None; known from the start or, where only recording can tell, from then on.
    """

    def __init__(self, run: TrainState, wanted: Literal["auto"] | bool, *, has_hooks: bool = False) -> None:
        """wanted: True records also modules that may have a state in Python. has_hooks: whether somebody looks into
        the steps."""
        self.obstacle = obstacle(run, wanted, has_hooks=has_hooks)
        self.seen = set[Any]()  # shapes
        self.recorded: dict[Any, Recorded] = {}
        self.settings: list[Any] = []  # of the optimizer, which a graph fixes
        self.last: Recorded | None = None  # whose gradients the parameters have
        self.pool: Any = None  # the memory that all graphs share: only one runs at a time

    def describe(self) -> str:
        """The header's text: one graph, or why there is none."""
        return "each step is one CUDA graph" if self.obstacle is None else f"none, steps run eagerly: {self.obstacle}"

    def __call__(self, run: TrainState, window: Window) -> tuple[Tensor, Tensor | None]:
        if self.obstacle is not None:
            return train_step(run, window)
        window = fixed(window)
        shape = shapes(window)
        if shape not in self.seen:
            self.seen.add(shape)
            self.last = None
            return train_step(run, window)
        if self.recorded and obstacles.settings(run.optimizer) != self.settings:
            return self._given_up(run, window, "the schedule changes more than the learning rate")
        if shape not in self.recorded:
            if len(self.recorded) == MOST:
                return self._given_up(run, window, f"batches have more than {MOST} shapes")
            self.settings = obstacles.settings(run.optimizer)
            try:
                self.recorded[shape] = self._record(run, window)
            except RuntimeError as error:
                return self._given_up(run, window, first_line(error))
        return self._replayed(run, window, self.recorded[shape])

    def _given_up(self, run: TrainState, window: Window, why: str) -> tuple[Tensor, Tensor | None]:
        """Take this step and all later ones eagerly, and say so."""
        self.obstacle = f"{type(run.model).__name__} cannot be recorded: {why}"
        self.recorded, self.last = {}, None
        log.info("graph    %s", self.describe())
        return train_step(run, window)

    def _record(self, run: TrainState, window: Window) -> Recorded:
        """Record the step over windows of this shape. Nothing has been computed after it. Raises RuntimeError."""
        batches, shares = tree.mapped(Tensor.clone, (list(window.batches), list(window.shares)))
        static = replace(window, batches=batches, shares=shares)
        scheduler, run.scheduler = run.scheduler, Constant(run.optimizer)  # it moves on the host, after each replay
        write_rates(run)
        try:
            graph, result = record(lambda: whole_step(run, static), self.pool)
        finally:
            run.scheduler = scheduler
            run.seed_step()
        self.pool = graph.pool()
        self.last = Recorded(static, graph.replay, result, [(p, p.grad) for p in run.trained.parameters()])
        return self.last

    def _replayed(self, run: TrainState, window: Window, recorded: Recorded) -> tuple[Tensor, Tensor | None]:
        write_rates(run)
        for held, new in zip(tensors(recorded.window), tensors(window), strict=True):
            held.copy_(new)
        recorded.replay()
        if self.last is not recorded:
            self.last = recorded
            for parameter, gradient in recorded.gradients:
                parameter.grad = gradient
        run.scheduler.step()
        loss, norm = recorded.result
        return loss.clone(), norm.clone() if run.needs_norm else None  # the next replay writes over them


def obstacle(run: TrainState, wanted: Literal["auto"] | bool, *, has_hooks: bool) -> str | None:
    """The reason why this run's steps are not recorded, as far as is known before trying; None if they are."""
    own = obstacles.own_code(run)
    reasons = {
        "graph=false": wanted is False,
        **obstacles.of_any_graph(run),
        "the optimizer is not fused": not all(hasattr(part, "rates") for part in parts(run.optimizer)),
        "explain looks into each step": has_hooks,
        f"{own} may do something else in each step; if it does not: graph=true": bool(own) and wanted is not True,
    }
    return obstacles.first(reasons)


class Ready:
    """The loader of batches (x, y, number of rows) that are on the device already."""

    name, knows_targets = "ready", False

    def fetch(self, rows: Sequence[Any], epoch: int) -> Iterable[Any]:
        return rows

    def count(self, batch: Any) -> int:
        return int(batch[2])

    def targets(self, batch: Any) -> Tree:
        return batch[1]

    def load(self, batch: Any) -> tuple[Tree, Tree]:
        return batch[0], batch[1]


def fixed(window: Window) -> Window:
    """The window with tensors of the device as its batches: row indices of data in memory, or else what was loaded."""
    loader, ready = window.loader, Ready()
    if loader.knows_targets:
        return window
    return replace(window, loader=ready, batches=[(*loader.load(some), loader.count(some)) for some in window.batches])


def tensors(window: Window) -> list[Tensor]:
    """What a recorded step reads of a window."""
    return [leaf for leaf in pytree.tree_leaves((window.batches, window.shares)) if isinstance(leaf, Tensor)]


def shapes(window: Window) -> Any:
    """What must be equal for windows that one graph can take."""
    leaves, form = pytree.tree_flatten((list(window.batches), list(window.shares)))
    return form, *((leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else leaf for leaf in leaves)


def write_rates(run: TrainState) -> None:
    """Write the learning rates of this step to where the graphs read them."""
    for part in parts(run.optimizer):
        part.rates.written()  # type: ignore[attr-defined]


def whole_step(run: TrainState, window: Window) -> Result:
    """train_step with its norm in any case, so that one graph does for all steps."""
    loss, norm = train_step(run, window)
    return loss, run.gradient_norm() if norm is None else norm
