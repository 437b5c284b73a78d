"""The compiled step: gather, forward, loss, backward, clipping and optimizer in one graph, instead of train_step.

Two kinds of steps always run eagerly: step 0, in which the optimizer creates its state, and windows of another size
than the graph's (the last of an epoch). That depends on the position alone, so a resumed run takes each step in the
same way as an uninterrupted one.
"""

import logging
import time
from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from trainer.data.batches import Window
from trainer.data.loaders import send
from trainer.device import can_trace_autograd
from trainer.loop import train_step
from trainer.optim.several import groups
from trainer.optim.updates import leaves_no_trace, scalars, taken
from trainer.state import TrainState
from trainer.steps import obstacles
from trainer.steps.calls import Given, Launches, in_turn
from trainer.steps.generated import StepGraph
from trainer.text import first_line

log = logging.getLogger(__name__)


class CompiledStep:
    """A step like train_step: takes (run, window); returns the loss and the gradient norm before clipping, both 0-dim.

    obstacle: why all steps run eagerly, or None. Known from the start or, where only tracing can tell, from the first
    full window on. first: the step in which the optimizer creates its state, or that of parameters that were frozen;
    since: the step from which each group trains.

    A call takes the first window's step and those of the windows that follow it, and keeps what they gave until the
    loop asks for them: the same steps, by the same graph, only sooner. So between the steps of a call weights and
    schedule are ahead of the run's progress, which run.is_whole says; the learning rate is that of the step told. After
    a loss or weight that is not finite a call takes no further step. calls: the header's words about this.
    """

    def __init__(self, run: TrainState, mode: str, dynamic: bool | None, first: int = 0) -> None:
        self.mode, self.dynamic, self.first = mode, dynamic, first
        self.num_samples = run.train_batches.window_size
        self.since = [0] * len(run.optimizer.param_groups)
        self.obstacle = obstacle(run)
        self.graph: StepGraph | None = None
        self.settings: list[Any] = []  # of the optimizer, which the graph fixes
        self.launches: Launches | None = None
        self.calls = ""
        self.ahead: deque[tuple[Tensor, Tensor, list[float]]] = deque()  # (loss, norm, the next rates) not yet told

    def describe(self) -> str:
        """The header's text: one graph, or why there is none."""
        return "the whole step" if self.obstacle is None else f"none, the step runs eagerly: {self.obstacle}"

    def __call__(self, run: TrainState, window: Window) -> tuple[Tensor, Tensor | None]:
        if self.ahead:
            return self._told(run)
        if self.obstacle is not None or run.progress.step == self.first or window.num_samples != self.num_samples:
            return train_step(run, window)
        if self.graph is not None and obstacles.settings(run.optimizer) != self.settings:
            return self._given_up(run, window, "the schedule changes more than the learning rate")
        if self.graph is not None:
            following = [other for other in window.following if other.num_samples == self.num_samples]
            return self._captured(run, [window, *following], self.graph)
        run.optimizer.zero_grad()  # frees the gradients of an eager step; the graph keeps its own inside
        self.since = [run.progress.step - taken(run.optimizer, group) for group in run.optimizer.param_groups]
        begun = time.perf_counter()
        self.graph, self.settings = StepGraph(run, self.mode, self.dynamic), obstacles.settings(run.optimizer)
        self.launches = Launches(run, self.graph, run.steps_per_call) if self.graph.is_guarded else None
        loss, norm = self._captured(run, [window], self.graph)
        run.compile_seconds += time.perf_counter() - begun
        return loss, norm

    def _captured(self, run: TrainState, windows: Sequence[Window], graph: StepGraph) -> tuple[Tensor, Tensor | None]:
        several, rates, rows = run.optimizer.param_groups, [], []
        for ahead in range(len(windows)):
            if ahead:
                run.scheduler.step()
                rates.append([group["lr"] for group in several])
            step = run.progress.step + ahead + 1
            rows.append([scalars(group, step - since) for group, since in zip(several, self.since, strict=True)])
        numbers = send(torch.tensor(rows, dtype=run.zero.dtype), run.device).unbind()
        steps = [Given(window.batches, window.shares, row) for window, row in zip(windows, numbers, strict=True)]
        try:
            found = list(in_turn(run, graph, steps) if self.launches is None else self.launches(run, steps))
        except torch._dynamo.exc.TorchDynamoException as error:  # while compiling, in a call of one step
            name, why = type(run.model).__name__, f"cannot be captured: {first_line(error)}"
            why = "changes from step to step, so one graph cannot capture it" if graph.has_changed else why
            return self._given_up(run, windows[0], f"{name} {why}")
        run.scheduler.step()
        if len(windows) == 1:
            return found[0]
        rates.append([group["lr"] for group in several])
        self.ahead.extend((*one, after) for one, after in zip(found, rates, strict=False))
        return self._told(run)

    def _given_up(self, run: TrainState, window: Window, why: str) -> tuple[Tensor, Tensor | None]:
        """Take this step and all later ones eagerly, and say so."""
        self.obstacle, self.graph = why, None
        log.info("compile  %s", self.describe())
        return train_step(run, window)

    def _told(self, run: TrainState) -> tuple[Tensor, Tensor]:
        """The next step of a call, with the learning rates after it."""
        loss, norm, rates = self.ahead.popleft()
        for group, rate in zip(run.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        run.is_whole = not self.ahead
        return loss, norm


def obstacle(run: TrainState) -> str | None:
    """The reason why this run's step cannot be one graph, as far as is known before tracing; None if it can."""
    kind, loader = run.device.type, run.train_batches.loader
    untold = not can_trace_autograd() and any(
        leaves_no_trace(part, group) and group["weight_decay"] for part, group in groups(run.optimizer)
    )
    reasons = {
        f"device={kind} is not supported": kind not in ("cpu", "cuda"),
        f"the data comes from a {loader.name}, not from memory": not loader.knows_targets,
        **obstacles.of_any_graph(run),
        f"torch {torch.__version__} cannot tell what weight_decay leaves alone, under SGD without momentum": untold,
    }
    return obstacles.first(reasons)
