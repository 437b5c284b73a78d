"""One graph of a whole step: gather, forward, loss, backward, clipping and the optimizer's update.

torch.compile traces the entire step, so that neither Python nor a dispatcher runs between its kernels. Parameters,
moments and step counters change in place, so state_dict and checkpoints are those of the eager step. The learning
rates go in as tensors, so a schedule does not cause another compilation.
"""

from collections.abc import Callable, Sequence
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn

from trainer.data import tree
from trainer.device import can_trace_autograd, generator_state, quiet_compiler, trace_derivatives
from trainer.optim.several import groups, parameters
from trainer.optim.updates import kept_tensors, leaves_no_trace, make_update
from trainer.state import TrainState
from trainer.steps.obstacles import own_code

Step = Callable[[Sequence[Any], Sequence[Tensor | None], Tensor, Tensor | None], tuple[Tensor, ...]]
Gradients = Callable[[Any, Tensor | None], tuple[Tensor, Sequence[Tensor | None]]]


class StepGraph:
    """(row indices of each batch, shares, scalars) -> (loss, norm), 0-dim; compiled when first called. With is_good,
    whether all was finite so far, a 0-dim bool: changes nothing if not, and gives a third number, whether all still is.

    dynamo's wrapper and its guards around the generated code take as long as a small model's kernels, and there is
    nothing for them to look at in modules whose Python never changes. So of such a model what the backend has generated
    is called directly, with the tensors of the first call and the new indices, shares and scalars. torch.compile's
    `backend` is the one public way to it that torch 2.10 and 2.14 share: aot_compile() takes no closure in 2.10, and
    what torch.export gives cannot change a parameter in place.

    is_direct: whether that is so; then the code has no CUDA graphs of its own, see calls.py. is_guarded: whether steps
    are to be called with is_good. draws: whether a step draws from a generator. has_changed: whether a second graph was
    needed, which raises.
    """

    def __init__(self, run: TrainState, mode: str, dynamic: bool | None) -> None:
        import torch._inductor

        self.device, self.is_direct = run.device, not own_code(run)
        self.has_trees = run.device.type == "cuda" and not self.is_direct  # CUDA graphs of torch.compile's own
        self.options = torch._inductor.list_mode_options(mode, dynamic) | {"triton.cudagraphs": self.has_trees}
        if mode == "default":
            self.options["assert_indirect_indexing"] = False  # the indices are ours and in range
        self.is_guarded = self.is_direct and not run.watch.is_free
        self.draws = self.has_changed = False
        self.traced: Step = torch.compile(make_step(run), fullgraph=True, dynamic=bool(dynamic), backend=self._generate)
        self.generated: Callable[..., Any] | None = None
        self.inputs: list[Any] = []
        self.places: list[tuple[int, int]] = []  # (of an input, of what is given) where they are the same tensor

    def __call__(
        self,
        batches: Sequence[Any],
        shares: Sequence[Tensor | None],
        scalars: Tensor,
        is_good: Tensor | None = None,
    ) -> tuple[Tensor, ...]:
        given, is_first = [*batches, *shares, scalars, is_good], self.generated is None
        if not is_first and self.is_direct:
            for place, source in self.places:
                self.inputs[place] = given[source]
            return self.generated(*self.inputs)  # type: ignore[no-any-return,misc]
        before = generator_state(self.device) if is_first else None
        found = self.traced(list(batches), list(shares), scalars, is_good)
        if before is not None:
            self.draws = not torch.equal(before, generator_state(self.device))
            self.places = [(i, j) for i, a in enumerate(self.inputs) for j, b in enumerate(given) if a is b]
        return tuple(number.clone() for number in found) if self.has_trees else found  # the next replay writes there

    def _generate(self, graph: torch.fx.GraphModule, examples: list[Any]) -> Callable[..., Any]:
        """torch.compile's backend: generate the code, once."""
        if self.generated is not None:
            self.has_changed = True
            raise RuntimeError("a second graph")
        self.generated = torch._inductor.compile(graph, examples, self.options)
        return self._run

    def _run(self, *inputs: Any) -> Any:
        assert self.generated is not None  # noqa: S101
        self.inputs = list(inputs)
        outputs = self.generated(*inputs)
        num_numbers = 3 if self.is_guarded else 2
        self.is_direct = self.is_direct and len(outputs) == num_numbers  # or a module keeps some of them
        return outputs


def make_step(run: TrainState) -> Step:
    """The function that is traced. Its code is a copy of its own, since dynamo counts the graphs of a code object."""
    import torch._dynamo

    trace_derivatives()
    quiet_compiler()
    loader: Any = run.train_batches.loader
    optimizer, max_norm, zero = run.optimizer, run.max_norm, run.zero
    trained = parameters(optimizer)
    gradients_of = make_gradients(run, trained)
    updates = [(group["params"], make_update(part, group)) for part, group in groups(optimizer)]
    for tensor in [*kept_tensors(optimizer), *tree.leaves((loader.x, loader.y))]:
        torch._dynamo.mark_static_address(tensor)  # or a CUDA graph would copy it first
    changed = [*trained, *kept_tensors(optimizer), *run.model.buffers(), *run.loss_fn.buffers()]

    def step(
        batches: Sequence[Any], shares: Sequence[Tensor | None], scalars: Tensor, is_good: Tensor | None
    ) -> tuple[Tensor, ...]:
        before = [] if is_good is None else [tensor.detach().clone() for tensor in changed]
        total = zero
        sums: list[Tensor | None] = [None] * len(trained)
        for batch, share in zip(batches, shares, strict=True):
            loss, gradients = gradients_of(batch, share)
            sums = [add(a, b) for a, b in zip(sums, gradients, strict=True)]
            total = total + (loss if share is None else loss.where(share != 0, 0.0))  # see train_step
        with torch.no_grad():
            norms = [torch.linalg.vector_norm(g) for g in sums if g is not None]
            norm: Tensor = torch.linalg.vector_norm(torch.stack(norms))
            if max_norm is not None:
                scale = (max_norm / (norm + 1e-6)).clamp(max=1.0)  # as torch.nn.utils.clip_grad_norm_
                sums = [g * scale if g is not None else None for g in sums]
            moved = {p: g for p, g in zip(trained, sums, strict=True) if g is not None}
            for (members, update), row in zip(updates, scalars.unbind(), strict=True):
                members = [p for p in members if p in moved]
                update(members, [moved[p] for p in members], row)
            if is_good is None:
                return total, norm
            for tensor, old in zip(changed, before, strict=True):
                tensor.copy_(torch.where(is_good, tensor, old))
        return total, norm, is_good & total.isfinite().all()

    return FunctionType(step.__code__.replace(), step.__globals__, step.__name__, closure=step.__closure__)


def make_gradients(run: TrainState, trained: list[nn.Parameter]) -> Gradients:
    """(a batch, its share) -> (its loss, detached; the gradient of each parameter, None of one that is not used).

    By torch.autograd.grad where dynamo can trace it, from torch 2.11 on: it may then be used in a model, too. Else by
    torch.func, which gives zeros for None: so only those are asked for that the optimizer has met in its first step.
    """
    loader: Any = run.train_batches.loader
    call, loss_of, minimised, autocast = run.call, run.loss, run.minimised, run.autocast

    def loss_at(x: Any, y: Any, share: Tensor | None) -> Tensor:
        with autocast():
            loss = loss_of(call(x), y, x)
        return loss if share is None else loss * share

    def by_autograd(batch: Any, share: Tensor | None) -> tuple[Tensor, Sequence[Tensor | None]]:
        x, y = loader.load(batch)
        loss = loss_at(x, y, share)
        return loss.detach(), torch.autograd.grad(loss, trained, minimised, allow_unused=True)

    if can_trace_autograd():
        return by_autograd

    class Objective(nn.Module):
        """The loss, as a module whose parameters torch.func can replace."""

        def __init__(self) -> None:
            super().__init__()
            self.model, self.loss_fn = run.model, run.loss_fn

        def forward(self, x: Any, y: Any, share: Tensor | None) -> Tensor:
            return loss_at(x, y, share)

    objective = Objective()
    names = {p: name for name, p in objective.named_parameters()}
    pairs = groups(run.optimizer)
    met = [p for part, group in pairs for p in group["params"] if p in part.state or leaves_no_trace(part, group)]
    used = {names[p]: p for p in met}
    buffers = dict(objective.named_buffers())

    def objective_at(values: dict[str, Tensor], buffers: dict[str, Tensor], *batch: Any) -> tuple[Tensor, Tensor]:
        loss = torch.func.functional_call(objective, {**values, **buffers}, batch)
        return loss if minimised is None else loss[0], loss.detach()

    def by_func(batch: Any, share: Tensor | None) -> tuple[Tensor, Sequence[Tensor | None]]:
        x, y = loader.load(batch)
        gradients, loss = torch.func.grad(objective_at, has_aux=True)(dict(used), buffers, x, y, share)
        return loss, [gradients.get(names[p]) for p in trained]

    return by_func


def add(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """The sum of two gradients, either of which may be missing."""
    return b if a is None else a if b is None else a + b
