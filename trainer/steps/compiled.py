"""The compiled step: gather, forward, loss, backward, clipping and optimizer in one graph, instead of train_step.

torch.compile traces the entire step, so that neither Python nor a dispatcher runs between its kernels. Parameters,
moments and step counters change in place, so state_dict and checkpoints are those of the eager step. The learning
rates go in as tensors, so a schedule does not cause another compilation.

Two kinds of steps always run eagerly: step 0, in which the optimizer creates its state, and windows of another size
than the graph's (the last of an epoch). That depends on the position alone, so a resumed run takes each step in the
same way as an uninterrupted one.
"""

import inspect
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.sgd import sgd

from trainer.data import tree
from trainer.data.batches import Window
from trainer.device import quiet_compiler, trace_derivatives
from trainer.loop import train_step
from trainer.optim.several import parts
from trainer.state import TrainState
from trainer.text import first_line

log = logging.getLogger(__name__)

OPTIMIZERS = (SGD, Adam, AdamW)
Graph = Callable[[list[Any], list[Tensor | None], Tensor], tuple[Tensor, Tensor]]
Update = Callable[[list[Tensor], list[Tensor], Tensor], None]  # parameters, gradients, scalars


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
        self.graph: Graph | None = None
        self.scalars: Tensor  # (groups, 3), on the device: see scalars()
        self.host = torch.zeros((len(run.optimizer.param_groups), 3), dtype=torch.float64)  # the same on the CPU

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
        self.scalars = run.zero.new_zeros(self.host.shape)
        self.since = [run.progress.step - taken(run.optimizer, group) for group in run.optimizer.param_groups]
        self.graph = compile_step(run, self.mode, self.dynamic)
        begun = time.perf_counter()
        loss, norm = self._captured(run, window, self.graph)
        run.compile_seconds += time.perf_counter() - begun
        return loss, norm

    def _captured(self, run: TrainState, window: Window, graph: Graph) -> tuple[Tensor, Tensor | None]:
        dynamo, name = torch._dynamo.exc, type(run.model).__name__  # dynamo takes a second to import; it is by now
        groups = zip(run.optimizer.param_groups, self.since, strict=True)
        self.host.numpy()[:] = [scalars(group, run.progress.step + 1 - since) for group, since in groups]
        self.scalars.copy_(self.host)
        try:
            loss, norm = graph(list(window.batches), list(window.shares), self.scalars)
        except dynamo.FailOnRecompileLimitHit:
            self.obstacle = f"{name} changes from step to step, so one graph cannot capture it"
        except dynamo.TorchDynamoException as error:
            self.obstacle = f"{name} cannot be captured: {first_line(error)}"
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
    reasons = {
        f"torch {torch.__version__} cannot trace a backward pass": not can_trace_backward(),
        f"device={kind} is not supported": kind not in ("cpu", "cuda"),
        f"{strange} is not supported, use SGD, Adam or AdamW": bool(strange),
        f"the data comes from a {loader.name}, not from memory": not loader.knows_targets,
        "augment.transforms draws its numbers outside of a graph": getattr(loader, "draws", False),
        "several processes average their gradients between backward and step": run.ranks.size > 1,
        "autocast=fp16 may skip a step, which one graph cannot; bf16 does not": run.scaler.is_enabled(),
        "the schedule changes the momentum, which is fixed in the graph (scheduler.cycle_momentum=false)": cycles,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def can_trace_backward() -> bool:
    """Whether this torch can trace torch.autograd.grad, and can be limited to one compilation."""
    import torch._dynamo.config as dynamo

    return hasattr(dynamo, "trace_autograd_ops") and "recompile_limit" in inspect.signature(torch.compile).parameters


def compile_step(run: TrainState, mode: str, dynamic: bool | None) -> Graph:
    """Return (row indices of each batch, shares, scalars) -> (loss, norm), 0-dim; compiled when first called.

    There is exactly one graph: a model that needs a second one raises FailOnRecompileLimitHit.
    """
    import torch._dynamo

    trace_derivatives()
    quiet_compiler()
    loader: Any = run.train_batches.loader
    loss_fn, model, optimizer = run.loss_fn, run.model, run.optimizer
    call, loss_of, minimised = run.call, run.loss, run.minimised
    autocast, max_norm, zero = run.autocast, run.max_norm, run.zero
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    updates = [(group["params"], make_update(part, group)) for part in parts(optimizer) for group in part.param_groups]
    for tensor in [*kept_tensors(optimizer), *tree.leaves((loader.x, loader.y))]:
        torch._dynamo.mark_static_address(tensor)  # or a CUDA graph would copy it first

    def step(batches: list[Tensor], shares: list[Tensor | None], scalars: Tensor) -> tuple[Tensor, Tensor]:
        total = zero
        sums: list[Tensor | None] = [None] * len(parameters)
        for batch, share in zip(batches, shares, strict=True):
            x, y = loader.load(batch)
            with autocast():
                loss = loss_of(call(x), y, x)
            loss = loss if share is None else loss * share
            gradients = torch.autograd.grad(loss, parameters, minimised, allow_unused=True)
            sums = [add(a, b) for a, b in zip(sums, gradients, strict=True)]
            total = total + (loss.detach() if share is None else loss.detach().where(share != 0, 0.0))  # see train_step
        with torch.no_grad():
            norms = [torch.linalg.vector_norm(g) for g in sums if g is not None]
            norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
            if max_norm is not None:
                scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
                sums = [g * scale if g is not None else None for g in sums]
            moved = {p: g for p, g in zip(parameters, sums, strict=True) if g is not None}
            for (members, update), row in zip(updates, scalars.unbind(), strict=True):
                members = [p for p in members if p in moved]
                update(members, [moved[p] for p in members], row)
        return total, norm

    settings: dict[str, Any] = {"recompile_limit": 1, "isolate_recompiles": True}
    if mode == "default":  # the indices are ours and in range; on CUDA, one graph launch a step
        settings["options"] = {"assert_indirect_indexing": False, "triton.cudagraphs": run.device.type == "cuda"}
        packages = {type(module).__module__.partition(".")[0] for part in (model, loss_fn) for module in part.modules()}
        if packages <= {"torch", "trainer"}:  # their modules have no Python state that changes from step to step
            settings["options"]["guard_filter_fn"] = torch.compiler.skip_all_guards_unsafe
    else:
        settings["mode"] = mode
    graph: Graph = torch.compile(step, fullgraph=True, dynamic=bool(dynamic), **settings)
    return graph


def make_update(optimizer: Optimizer, group: dict[str, Any]) -> Update:
    """The in-place update of one parameter group, on the state that the optimizer has created."""
    state = optimizer.state
    if isinstance(optimizer, SGD):
        names = ("weight_decay", "momentum", "dampening", "nesterov", "maximize")
        constants = {name: group[name] for name in names} | {"foreach": False, "fused": False}

        def descend(parameters: list[Tensor], gradients: list[Tensor], scalars: Tensor) -> None:
            buffers = [state[p].get("momentum_buffer") if group["momentum"] else None for p in parameters]
            sgd(parameters, gradients, buffers, lr=scalars[0], **constants)

        return descend

    def adam(parameters: list[Tensor], gradients: list[Tensor], scalars: Tensor) -> None:
        lr, step_size, unroot = scalars.unbind()
        (beta1, beta2), decay = group["betas"], group["weight_decay"]
        for p, g in zip(parameters, gradients, strict=True):
            moments = state[p]
            moments["step"].add_(1)
            g = -g if group["maximize"] else g
            if decay and group["decoupled_weight_decay"]:
                p.mul_(1 - lr * decay)
            elif decay:
                g = g + decay * p
            mean = moments["exp_avg"].lerp_(g, 1 - beta1)
            square = moments["exp_avg_sq"].mul_(beta2).addcmul_(g, g, value=1 - beta2)
            if group["amsgrad"]:
                square = moments["max_exp_avg_sq"].copy_(torch.maximum(moments["max_exp_avg_sq"], square))
            p.sub_(step_size * mean / (square.sqrt() * unroot + group["eps"]))

    return adam


def scalars(group: Mapping[str, Any], step: int) -> tuple[float, float, float]:
    """The numbers in a group's update that change with the step (counted from 1): the learning rate lr and, for Adam,
    lr / (1 - beta1^step) and 1 / sqrt(1 - beta2^step). In the graph, each vector would compute them again."""
    lr = float(group["lr"])
    beta1, beta2 = group.get("betas", (0.0, 0.0))
    return lr, lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)


def taken(optimizer: Optimizer, group: Mapping[str, Any]) -> int:
    """The steps that a group has taken, as Adam counts them; 0 for an optimizer that does not."""
    counts = (optimizer.state[p]["step"] for p in group["params"] if "step" in optimizer.state.get(p, ()))
    return int(next(counts, 0))


def kept_tensors(optimizer: Optimizer) -> list[Tensor]:
    """The tensors of an optimizer's state."""
    return [value for entry in optimizer.state.values() for value in entry.values() if isinstance(value, Tensor)]


def add(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """The sum of two gradients, either of which may be missing."""
    return b if a is None else a if b is None else a + b
