"""torch's optimizers without torch.compile, whose import takes as long as that of all the rest of torch.

They import torch._dynamo when they are made and when they step, only to tell the compiler to keep out. Where nothing
compiles them there is nobody to tell, so what stands around their methods for the compiler's sake is left out. Where
torch does it in another way than is known here, nothing changes but the time that a start takes.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from types import FunctionType, MethodType
from typing import Any

import torch
from torch.optim import Optimizer

KEPT_OUT = "__dynamo_disable"  # where torch keeps, beside a method, the form of it that the compiler does not enter


@contextmanager
def without_compiler() -> Iterator[None]:
    """Within: an optimizer can be made."""
    methods = [m for m in map(undisabled, vars(Optimizer).values()) if m is not None and not hasattr(m, KEPT_OUT)]
    for method in methods:
        setattr(method, KEPT_OUT, method)
    try:
        yield
    finally:
        for method in methods:
            delattr(method, KEPT_OUT)


def strip(optimizer: Optimizer) -> None:
    """Give this one optimizer methods that know of no compiler; they do the same."""
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
