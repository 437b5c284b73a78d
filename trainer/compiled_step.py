"""The compiled step: gather, forward, loss, backward, clipping and optimizer in one graph, instead of train_step.

Two kinds of steps always run eagerly: step 0, in which the optimizer creates its state, and windows of another size
than the graph's (the last of an epoch). That depends on the position alone, so a resumed run takes each step in the
same way as an uninterrupted one.
"""

import logging
import time

import torch
from torch import Tensor

from trainer.data.batches import Window
from trainer.device import can_trace_autograd
from trainer.loop import train_step
from trainer.optim.several import groups, parts
from trainer.optim.updates import OPTIMIZERS, leaves_no_trace, scalars, taken
from trainer.state import TrainState
from trainer.step_graph import StepGraph
from trainer.text import first_line

log = logging.getLogger(__name__)


class CompiledStep:
    """A step like train_step: takes (run, window); returns the loss and the gradient norm before clipping, both 0-dim.

    obstacle: why all steps run eagerly, or None. Known from the start or, where only tracing can tell, from the first
    full window on. first: the step in which the optimizer creates its state, or that of parameters that were frozen;
    since: the step from which each group trains.
    """

    def __init__(self, run: TrainState, mode: str, dynamic: bool | None, first: int = 0) -> None:
        self.mode, self.dynamic, self.first = mode, dynamic, first
        self.since = [0] * len(run.optimizer.param_groups)
        self.obstacle = obstacle(run)
        self.graph: StepGraph | None = None

    def describe(self) -> str:
        """The header's text: one graph, or why there is none."""
        return "the whole step" if self.obstacle is None else f"none, the step runs eagerly: {self.obstacle}"

    def __call__(self, run: TrainState, window: Window) -> tuple[Tensor, Tensor | None]:
        batches = run.train_batches
        is_full = window.num_samples == batches.batch_size * batches.accumulate
        if self.obstacle is not None or run.progress.step == self.first or not is_full:
            return train_step(run, window)
        if self.graph is not None:
            return self._captured(run, window, self.graph)
        run.optimizer.zero_grad()  # frees the gradients of an eager step; the graph keeps its own inside
        self.since = [run.progress.step - taken(run.optimizer, group) for group in run.optimizer.param_groups]
        begun = time.perf_counter()
        self.graph = StepGraph(run, self.mode, self.dynamic)
        loss, norm = self._captured(run, window, self.graph)
        run.compile_seconds += time.perf_counter() - begun
        return loss, norm

    def _captured(self, run: TrainState, window: Window, graph: StepGraph) -> tuple[Tensor, Tensor | None]:
        groups = zip(run.optimizer.param_groups, self.since, strict=True)
        rows = [scalars(group, run.progress.step + 1 - since) for group, since in groups]
        numbers = torch.tensor(rows, dtype=run.zero.dtype, device=run.device)
        try:
            loss, norm = graph(window.batches, window.shares, numbers)
        except torch._dynamo.exc.TorchDynamoException as error:
            name = type(run.model).__name__
            self.obstacle = f"{name} cannot be captured: {first_line(error)}"
            if graph.has_changed:
                self.obstacle = f"{name} changes from step to step, so one graph cannot capture it"
        else:
            run.scheduler.step()
            return loss, norm
        self.graph = None
        log.info("compile  %s", self.describe())
        return train_step(run, window)


def obstacle(run: TrainState) -> str | None:
    """The reason why this run's step cannot be one graph, as far as is known before tracing; None if it can."""
    kind = run.device.type
    strange = next((type(part).__name__ for part in parts(run.optimizer) if type(part) not in OPTIMIZERS), "")
    scheduler = getattr(run.scheduler, "scheduler", run.scheduler)
    cycles, loader = getattr(scheduler, "cycle_momentum", False), run.train_batches.loader
    untold = not can_trace_autograd() and any(
        leaves_no_trace(part, group) and group["weight_decay"] for part, group in groups(run.optimizer)
    )
    reasons = {
        f"device={kind} is not supported": kind not in ("cpu", "cuda"),
        f"{strange} is not supported, use SGD, Adam or AdamW": bool(strange),
        f"the data comes from a {loader.name}, not from memory": not loader.knows_targets,
        "augment.transforms draws its numbers outside of a graph": getattr(loader, "draws", False),
        "several processes average their gradients between backward and step": run.ranks.size > 1,
        "autocast=fp16 may skip a step, which one graph cannot; bf16 does not": run.scaler.is_enabled(),
        "the schedule changes the momentum, which is fixed in the graph (scheduler.cycle_momentum=false)": cycles,
        f"torch {torch.__version__} cannot tell what weight_decay leaves alone, under SGD without momentum": untold,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)
