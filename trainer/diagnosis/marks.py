"""Marks the parts of a step for torch's profiler: the five verbs, the wait for data, and each module of the model.

The loop stays as it is. What it calls, by the same names, is put into ranges of the profiler.
"""

from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.profiler import record_function

from trainer.data.batches import Window
from trainer.state import TrainState

VERBS = ("data", "zero_grad", "forward", "loss", "backward", "step")
MODULE = "module "  # the name of a module's range begins with it


def mark(run: TrainState) -> None:
    """Put every call of a verb in `train_step`, each wait for a window and each module into a range of that name."""
    run.windows = _windows(run.windows)  # type: ignore[method-assign]
    run.optimizer.zero_grad = _named("zero_grad", run.optimizer.zero_grad)  # type: ignore[method-assign]
    run.forward, run.loss = _named("forward", run.forward), _named("loss", run.loss)
    run.scaler = _Scaler(run.scaler)  # type: ignore[assignment]
    for name, module in run.model.named_modules():
        _mark_module(f"{MODULE}{name or 'the model itself'} ({type(module).__name__})", module)


def _named(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        with record_function(name):
            return call(*args, **kwargs)

    return called


def _windows(windows: Callable[[], Iterator[Window]]) -> Callable[[], Iterator[Window]]:
    def waited() -> Iterator[Window]:
        inner = windows()
        while True:
            with record_function("data"):
                window = next(inner, None)
            if window is None:
                return
            yield window

    return waited


def _mark_module(name: str, module: nn.Module) -> None:
    entered = []

    def enter(*_: Any) -> None:
        entered.append(record_function(name))
        entered[-1].__enter__()

    def leave(*_: Any) -> None:
        entered.pop().__exit__(None, None, None)

    module.register_forward_pre_hook(enter)
    module.register_forward_hook(leave, always_call=True)


class _Scaler:
    """A GradScaler whose `scale(loss).backward()` and `step(optimizer)` are in ranges."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.step = inner, _named("step", inner.step)

    def scale(self, loss: Tensor) -> "_Scaled":
        return _Scaled(self.inner.scale(loss))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class _Scaled:
    """A loss whose backward is in a range."""

    def __init__(self, loss: Tensor) -> None:
        self.backward = _named("backward", loss.backward)
