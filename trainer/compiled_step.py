"""The compiled step: gather, forward, loss, backward, clipping and optimizer as one graph, in train_step's place.

torch.compile traces the whole step, so that neither Python nor a dispatcher stands between its kernels. Parameters,
moments and step counters are changed in place: state_dict and checkpoints are those of the eager step. The learning
rates go in as tensors, so that a schedule compiles nothing anew.

Two kinds of steps stay eager, whatever the graph: step 0, in which the optimizer makes its state, and the windows of
another size than the graph's (the last of an epoch). Which steps those are depends on the position alone, so a resumed
run takes each step as an undisturbed one would.
"""

import inspect
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.sgd import sgd

from trainer.data.loaders import InMemory
from trainer.data.windows import Window
from trainer.device import quiet_compiler
from trainer.loop import train_step
from trainer.state import TrainState

log = logging.getLogger(__name__)

Update = Callable[[list[Tensor], list[Tensor], Tensor], None]  # parameters, gradients, numbers()


class CompiledStep:
    """Called as train_step is: one call, one step. Returns its loss and the norm of the gradients, before clipping.

    obstacle: why steps run eager, or None; known from the start, or from the first full window where only tracing
    can tell.
    """

    def __init__(self, run: TrainState, mode: str, dynamic: bool | None) -> None:
        self.mode, self.dynamic = mode, dynamic
        self.obstacle = obstacle(run)
        self.graph: Callable[..., tuple[Tensor, Tensor]] | None = None
        self.numbers: Tensor  # (groups, 3), on the device: see numbers()
        self.host = torch.zeros((len(run.optimizer.param_groups), 3), dtype=torch.float64)  # where they come from

    def describe(self) -> str:
        """What the header says: one graph, or why there is none."""
        return "the whole step" if self.obstacle is None else f"none, the step runs eager: {self.obstacle}"

    def __call__(self, run: TrainState, window: Window) -> tuple[Tensor, Tensor | None]:
        batches = run.train_batches
        is_full = window.num_samples == batches.batch_size * batches.accumulate
        if self.obstacle is not None or run.progress.step == 0 or not is_full:
            return train_step(run, window)
        if self.graph is None:
            run.optimizer.zero_grad()  # what an eager step left; the graph keeps its gradients to itself
            self.numbers = run.zero.new_zeros(self.host.shape)
            self.graph = compile_step(run, self.mode, self.dynamic)
            begun = time.perf_counter()
            loss, norm = self._captured(run, window)
            run.compile_seconds += time.perf_counter() - begun
            return loss, norm
        return self._captured(run, window)

    def _captured(self, run: TrainState, window: Window) -> tuple[Tensor, Tensor | None]:
        dynamo = torch._dynamo.exc  # imported by now, which takes a second
        assert self.graph is not None  # noqa: S101 - for mypy
        self.host.numpy()[:] = [numbers(group, run.progress.step + 1) for group in run.optimizer.param_groups]
        self.numbers.copy_(self.host)
        try:
            loss, norm = self.graph(list(window.batches), list(window.shares), self.numbers)
        except dynamo.FailOnRecompileLimitHit:
            self._give_up(f"{type(run.model).__name__} is another from step to step, which one graph cannot be")
        except dynamo.TorchDynamoException as error:
            self._give_up(f"{type(run.model).__name__} cannot be captured: {first_line(error)}")
        else:
            run.scheduler.step()
            return loss, norm
        return train_step(run, window)

    def _give_up(self, reason: str) -> None:
        self.obstacle, self.graph = reason, None
        log.info("compile  %s", self.describe())


def obstacle(run: TrainState) -> str | None:
    """What keeps this run's step from being one graph, as far as one can tell without tracing it; None for nothing."""
    optimizer, kind = run.optimizer, run.device.type
    scheduler = getattr(run.scheduler, "scheduler", run.scheduler)
    if not can_trace_backward():
        return f"torch {torch.__version__} cannot trace a backward pass"
    if kind not in ("cpu", "cuda"):
        return f"device={kind} is not supported"
    if type(optimizer) not in (SGD, Adam, AdamW):
        return f"{type(optimizer).__name__} has no functional form here; SGD, Adam and AdamW have"
    if not isinstance(run.train_batches.loader, InMemory):
        return f"the data comes from a {run.train_batches.loader.name}, not from memory"
    if run.ranks.size > 1:
        return "several processes average their gradients between backward and step"
    if run.scaler.is_enabled():
        return "autocast=fp16 may skip a step, which one graph cannot; bf16 does not"
    if getattr(scheduler, "cycle_momentum", False):
        return "the schedule moves the momentum, which the graph holds fast (scheduler.cycle_momentum=false)"
    return None


def can_trace_backward() -> bool:
    """Whether this torch can have torch.autograd.grad inside a graph, and can be told to compile once only."""
    import torch._dynamo.config as dynamo

    return hasattr(dynamo, "trace_autograd_ops") and "recompile_limit" in inspect.signature(torch.compile).parameters


def compile_step(run: TrainState, mode: str, dynamic: bool | None) -> Callable[..., tuple[Tensor, Tensor]]:
    """(row indices of each batch, shares, numbers) -> (loss, norm), 0-dim; compiled when first called.

    Exactly one graph: a second one would be a model that changes, and raises FailOnRecompileLimitHit.
    """
    import torch._dynamo

    torch._dynamo.config.trace_autograd_ops = True
    quiet_compiler()
    loader, loss_fn, model, optimizer = run.train_batches.loader, run.loss_fn, run.model, run.optimizer
    autocast, max_norm, zero = run.autocast, run.max_norm, run.zero
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    updates = [(group["params"], make_update(optimizer, group)) for group in optimizer.param_groups]
    for tensor in [*kept_tensors(optimizer), *(vars(loader)[name] for name in ("x", "y"))]:
        torch._dynamo.mark_static_address(tensor)  # or a CUDA graph would copy it first

    def step(batches: list[Tensor], shares: list[Tensor | None], numbers: Tensor) -> tuple[Tensor, Tensor]:
        total = zero
        sums: list[Tensor | None] = [None] * len(parameters)
        for batch, share in zip(batches, shares, strict=True):
            x, y = loader.load(batch)
            with autocast():
                loss = loss_fn(model(x), y)
            loss = loss if share is None else loss * share
            gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
            sums = [add(a, b) for a, b in zip(sums, gradients, strict=True)]
            total = total + loss.detach()
        with torch.no_grad():
            norm = total_norm([g for g in sums if g is not None])
            if max_norm is not None:
                scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
                sums = [g * scale if g is not None else None for g in sums]
            moved = {p: g for p, g in zip(parameters, sums, strict=True) if g is not None}
            for (members, update), own in zip(updates, numbers.unbind(), strict=True):
                members = [p for p in members if p in moved]
                update(members, [moved[p] for p in members], own)
        return total, norm

    kind: dict[str, Any] = {"recompile_limit": 1, "isolate_recompiles": True}
    if mode == "default":  # the indices are ours and in range; on CUDA, one graph launch a step
        kind["options"] = {"assert_indirect_indexing": False, "triton.cudagraphs": run.device.type == "cuda"}
        if all(is_torchs(module) for part in (model, loss_fn) for module in part.modules()):
            kind["options"]["guard_filter_fn"] = torch.compiler.skip_all_guards_unsafe
    else:
        kind["mode"] = mode
    graph: Callable[..., tuple[Tensor, Tensor]] = torch.compile(step, fullgraph=True, dynamic=bool(dynamic), **kind)
    return graph


def make_update(optimizer: Optimizer, group: dict[str, Any]) -> Update:
    """One group's update, in place, over the state that the optimizer has made."""
    state = optimizer.state
    if isinstance(optimizer, SGD):
        return lambda parameters, gradients, numbers: sgd(
            parameters,
            gradients,
            [state[p].get("momentum_buffer") for p in parameters] if group["momentum"] else [None] * len(parameters),
            foreach=False,
            fused=False,
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            lr=numbers[0],
            dampening=group["dampening"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
        )

    def adam(parameters: list[Tensor], gradients: list[Tensor], numbers: Tensor) -> None:
        lr, step_size, unroot = numbers.unbind()
        (beta1, beta2), decay = group["betas"], group["weight_decay"]
        for p, g in zip(parameters, gradients, strict=True):
            own = state[p]
            own["step"].add_(1)
            g = -g if group["maximize"] else g
            if decay and group["decoupled_weight_decay"]:
                p.mul_(1 - lr * decay)
            elif decay:
                g = g + decay * p
            mean = own["exp_avg"].lerp_(g, 1 - beta1)
            square = own["exp_avg_sq"].mul_(beta2).addcmul_(g, g, value=1 - beta2)
            if group["amsgrad"]:
                square = own["max_exp_avg_sq"].copy_(torch.maximum(own["max_exp_avg_sq"], square))
            p.sub_(step_size * mean / (square.sqrt() * unroot + group["eps"]))

    return adam


def numbers(group: Mapping[str, Any], step: int) -> tuple[float, float, float]:
    """What changes in a group's update from step to step (counted from 1): the learning rate and, for Adam, the rate
    over 1 - beta1^step and 1 over the root of 1 - beta2^step. The graph would compute these anew for every vector."""
    lr = float(group["lr"])
    beta1, beta2 = group.get("betas", (0.0, 0.0))
    return lr, lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)


def is_torchs(module: nn.Module) -> bool:
    """Whether a module's class is torch's or ours: it holds nothing in Python that changes from step to step."""
    return type(module).__module__.partition(".")[0] in ("torch", "trainer")


def kept_tensors(optimizer: Optimizer) -> list[Tensor]:
    """The tensors of an optimizer's state."""
    return [value for entry in optimizer.state.values() for value in entry.values() if isinstance(value, Tensor)]


def add(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """The sum of two gradients, either of which may be missing."""
    return b if a is None else a if b is None else a + b


def total_norm(gradients: Sequence[Tensor]) -> Tensor:
    """The 2-norm over all gradients, 0-dim."""
    norms = [torch.linalg.vector_norm(g) for g in gradients]
    norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    return norm


def first_line(error: Exception) -> str:
    """What went wrong, without torch's advice."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
