"""Averages of weights beside those that are trained: exponential (EMA) or even (SWA), as in torch.optim.swa_utils.

P. Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", arXiv 1803.05407.
"""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Weigh = Callable[[int, int], float]  # (step, how many are averaged so far) -> the weight of the newest; 0: leave it out
Place = tuple[dict[str, Any], str]  # where a module keeps a parameter or buffer, and its name there


def never(step: int, num_averaged: int) -> float:
    """Leave out the weights of every step."""
    return 0.0


def nothing(run: Any) -> None:
    """Do nothing."""


def decay(step: int, most: float) -> float:
    """The share of an exponential average that stays at a step, counted from 1: min(most, (1 + step) / (10 + step)).

    Without the ramp the average would remember the first weights for 1 / (1 - most) steps.
    """
    return min(most, (1 + step) / (10 + step))


class Average:
    """Averages of what is trained, and of buffers. By default there is none, and nothing is done.

    modules: (name, module) of all whose own tensors are averaged; with_buffers: whether floating-point buffers are
    averaged too, not copied; settle: is called with the run, the averaged weights in place, before they are measured.
    tensors: the averages by name, empty until there is a first one. seconds: spent in `settle`.
    """

    def __init__(
        self, modules: Iterable[tuple[str, nn.Module]] = (), weigh: Weigh = never, *, with_buffers: bool = False
    ) -> None:
        self.modules, self.weigh, self.with_buffers = list(modules), weigh, with_buffers
        self.settle: Callable[[Any], None] = nothing
        self.tensors: dict[str, Tensor] = {}
        self.num_averaged = 0
        self.seconds = 0.0
        self.averaged: list[tuple[Tensor, Place]] = []
        self.copied: list[tuple[Tensor, Place]] = []

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after a step, counted from 1."""
        if not (weight := self.weigh(step, self.num_averaged)):
            return
        self.num_averaged += 1
        if not self.tensors:
            self.begin()
            return
        torch._foreach_lerp_([average for average, _ in self.averaged], _live(self.averaged), weight)
        for average, live in zip([average for average, _ in self.copied], _live(self.copied), strict=True):
            average.copy_(live)

    def begin(self) -> None:
        """Take in, as it is now, everything that is trained and not averaged yet."""
        for name, place, is_buffer in _places(self.modules):
            if name not in self.tensors:
                self.tensors[name] = average = place[0][place[1]].detach().clone()
                moves = not is_buffer or (self.with_buffers and average.is_floating_point())
                (self.averaged if moves else self.copied).append((average, place))

    def unfrozen(self) -> None:
        """Take in what is trained from now on: so far it was constant, and so was its average."""
        if self.tensors:
            self.begin()

    @contextmanager
    def applied(self, run: Any) -> Iterator[None]:
        """Within: the averages stand in the place of the run's weights, if there are any."""
        if not self.tensors:
            yield
            return
        both = [*self.averaged, *self.copied]
        live = _live(both)
        kept = [tensor.detach().clone() for tensor in live]
        try:
            _copy(live, [average for average, _ in both])
            self.settle(run)
            yield
        finally:
            _copy(_live(both), kept)

    def weights(self, run: Any) -> dict[str, Any]:
        """A copy of what an evaluation of the run would measure now."""
        with self.applied(run):
            return copied(run.weights())

    def load(self, tensors: Mapping[str, Tensor], num_averaged: int) -> None:
        """Load what a checkpoint holds. Raises ValueError for the averages of another model."""
        if type(num_averaged) is not int or num_averaged < 0:
            raise ValueError(f"it holds an average of {num_averaged!r} weights")
        if num_averaged:
            self.begin()
        if {name: t.shape for name, t in tensors.items()} != {name: t.shape for name, t in self.tensors.items()}:
            raise ValueError("its averaged weights do not match this run's")
        for name, average in self.tensors.items():
            average.copy_(tensors[name])
        self.num_averaged = num_averaged


def copied(weights: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of what TrainState.weights gives: tensors, and the extra state of modules."""
    return {
        name: value.detach().clone() if isinstance(value, Tensor) else copy.deepcopy(value)
        for name, value in weights.items()
    }


def _places(modules: Iterable[tuple[str, nn.Module]]) -> Iterator[tuple[str, Place, bool]]:
    """(full name, place, whether it is a buffer) of each trained parameter, a tied one once, and each stored buffer."""
    seen: set[int] = set()
    for path, module in modules:
        path = path if not path or path.endswith(":") else f"{path}."
        trained = {name: p for name, p in module._parameters.items() if p is not None and p.requires_grad}
        left_out = module._non_persistent_buffers_set
        buffers = {name: b for name, b in module._buffers.items() if b is not None and name not in left_out}
        for holder, tensors in ((module._parameters, trained), (module._buffers, buffers)):
            for name, tensor in tensors.items():
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield path + name, (holder, name), holder is module._buffers


def _live(pairs: Iterable[tuple[Tensor, Place]]) -> list[Tensor]:
    """The tensors beside the averages; a module may have put another buffer in the place of one."""
    return [holder[name] for _, (holder, name) in pairs]


@torch.no_grad()
def _copy(targets: Iterable[Tensor], sources: Iterable[Tensor]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.copy_(source)
