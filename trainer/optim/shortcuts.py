"""Shortcuts around torch's optimizers. TRAINER_SHORTCUTS=0 takes torch's own way; the bits are the same on both.

without_compiler, strip: torch's optimizers import torch._dynamo when they are made and when they step, only to tell
the compiler to keep out. Without a compiler that import is left out: a run of one epoch takes 3.0 s from start to
exit, not 5.0 s.

shorten: around the kernel of a fused optimizer torch asks for hooks, profilers and compilers, sorts tensors by device
and dtype and fills lists, in every step. Here only what can change from one step to the next is asked. Of the 704 µs of
a step of digits' MLP (64-128-10, batch 64, one thread), the short step saves 112 µs and the short zero_grad 95 µs.

Where anything is unusual, or torch does it in another way than is known here, torch's own way is taken. The figures are
medians of `python benchmarks/shortcuts.py` on two EPYC cores with torch 2.14.1, November 2026.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial, wraps
from types import FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim import optimizer as every

KEPT_OUT = "__dynamo_disable"  # where torch keeps, beside a method, the form of it that the compiler does not enter

State = Mapping[Tensor, dict[str, Any]]
Update = Callable[[], None]


def are_wanted() -> bool:
    """Whether the shortcuts are taken; TRAINER_SHORTCUTS=0 takes torch's own way instead."""
    return os.environ.get("TRAINER_SHORTCUTS") != "0"


@contextmanager
def without_compiler() -> Iterator[None]:
    """Within: an optimizer can be made without importing torch's compiler."""
    known = map(undisabled, vars(Optimizer).values()) if are_wanted() else ()
    methods = [method for method in known if method is not None and not hasattr(method, KEPT_OUT)]
    for method in methods:
        setattr(method, KEPT_OUT, method)
    try:
        yield
    finally:
        for method in methods:
            delattr(method, KEPT_OUT)


def strip(optimizer: Optimizer) -> None:
    """Give this one optimizer methods that do the same and never ask for the compiler."""
    if not are_wanted():
        return
    kind = type(optimizer)
    own = {name: undisabled(getattr(kind, name)) for name in dir(kind)}
    if bare := unwrapped(getattr(kind.step, "__wrapped__", None), "_use_grad"):  # within what calls the hooks
        own["step"] = Optimizer.profile_hook_step(without_gradients(bare))
    for name, method in own.items():
        if method is not None:
            setattr(optimizer, name, MethodType(method, optimizer))


def undisabled(method: Any) -> Callable[..., Any] | None:
    """What torch._disable_dynamo was given to make `method`; None for what it did not make."""
    found = unwrapped(method, "inner")
    return found if found is not None and method.__code__.co_filename == torch._compile.__file__ else None


def unwrapped(method: Any, name: str) -> Callable[..., Any] | None:
    """What a wrapper that its source calls `name` wraps; None for anything else."""
    if isinstance(method, FunctionType) and method.__code__.co_name == name:
        found: Callable[..., Any] | None = getattr(method, "__wrapped__", None)
        return found
    return None


def without_gradients(step: Callable[..., Any]) -> Callable[..., Any]:
    """An optimizer's bare step, with gradients off unless it is one to be differentiated through."""

    @wraps(step)
    def wrapper(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        with torch.set_grad_enabled(self.defaults["differentiable"]):
            return step(self, *args, **kwargs)

    return wrapper


def shorten(optimizer: Optimizer) -> None:
    """Give any optimizer a short zero_grad where it has torch's, and a fused SGD, Adam or AdamW a short step."""
    if not are_wanted():
        return
    if type(optimizer).zero_grad is Optimizer.zero_grad:
        optimizer.zero_grad = MethodType(short_zero_grad(optimizer.zero_grad), optimizer)  # type: ignore[method-assign]
    prepare = PREPARE.get(type(optimizer))
    kinds = {(p.device, p.dtype) for group in optimizer.param_groups for p in group["params"]}
    if prepare is None or len(kinds) > 1 or not all(group["fused"] for group in optimizer.param_groups):
        return
    if (device := kinds.pop()[0]).type in ("cpu", "cuda"):
        prepare = partial(prepare, one=torch.ones((), device=device))
        optimizer.step = MethodType(short_step(optimizer.step, prepare), optimizer)  # type: ignore[method-assign]


def short_zero_grad(whole: Callable[[bool], None]) -> Callable[..., None]:
    """zero_grad without what it does for a profiler where there is none."""

    def zero_grad(self: Optimizer, set_to_none: bool = True) -> None:
        if not set_to_none or is_profiled():
            return whole(set_to_none)
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None
        return None

    return zero_grad


def short_step(whole: Callable[..., Any], prepare: Callable[..., Update | None]) -> Callable[..., Any]:
    """A step by `prepare` where that can update every group, and else by `whole`."""

    def step(self: Optimizer, closure: Callable[[], float] | None = None) -> Any:
        updates: list[Update | None] = [None]
        if closure is None and not is_profiled() and not is_watched(self):
            updates = [prepare(group, self.state) for group in self.param_groups]
        if None in updates:
            return whole(closure)
        with torch.no_grad():
            for update in filter(None, updates):
                update()
        return None

    return step


def is_profiled() -> bool:
    """Whether a profiler of torch's is at work."""
    return torch._C._autograd._profiler_enabled()


def is_watched(optimizer: Optimizer) -> bool:
    """Whether hooks want to be called, or a GradScaler takes part in the step."""
    hooks = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    hooks = hooks or every._global_optimizer_pre_hooks or every._global_optimizer_post_hooks
    return bool(hooks) or hasattr(optimizer, "grad_scale") or hasattr(optimizer, "found_inf")


def prepare_adam(group: Mapping[str, Any], state: State, one: Tensor) -> Update | None:
    """The update of a group of Adam or AdamW. None where there is no gradient, some state is not there yet, or a
    beta is a tensor."""
    parameters = [p for p in group["params"] if p.grad is not None]
    if not parameters or not all(p in state for p in parameters) or has_tensors(*group["betas"]):
        return None
    entries = [state[p] for p in parameters]
    steps = [entry["step"] for entry in entries]
    kernel = torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_

    def update() -> None:
        torch._foreach_add_(steps, [one] * len(steps))  # a number would become a tensor for each of them
        kernel(
            parameters,
            [p.grad for p in parameters],
            [entry["exp_avg"] for entry in entries],
            [entry["exp_avg_sq"] for entry in entries],
            [entry["max_exp_avg_sq"] for entry in entries] if group["amsgrad"] else [],
            steps,
            amsgrad=group["amsgrad"],
            lr=group["lr"],
            beta1=group["betas"][0],
            beta2=group["betas"][1],
            weight_decay=group["weight_decay"],
            eps=group["eps"],
            maximize=group["maximize"],
        )

    return update


def prepare_sgd(group: Mapping[str, Any], state: State, one: Tensor) -> Update | None:
    """The update of a group of SGD. None where there is no gradient, or some momentum is not there yet."""
    parameters = [p for p in group["params"] if p.grad is not None]
    gradients = [p.grad for p in parameters]
    buffers = [state[p].get("momentum_buffer") for p in parameters if p in state] if group["momentum"] else []
    is_whole = None not in buffers and len(buffers) == (len(parameters) if group["momentum"] else 0)
    if not parameters or not is_whole or any(g.is_sparse for g in gradients):
        return None
    return partial(
        torch._fused_sgd_,
        parameters,
        gradients,
        buffers,
        weight_decay=group["weight_decay"],
        momentum=group["momentum"],
        lr=group["lr"],
        dampening=group["dampening"],
        nesterov=group["nesterov"],
        maximize=group["maximize"],
        is_first_step=False,
    )


PREPARE = {SGD: prepare_sgd, Adam: prepare_adam, AdamW: prepare_adam}


def has_tensors(*numbers: Any) -> bool:
    """Whether one of them is a tensor."""
    return any(isinstance(number, Tensor) for number in numbers)
