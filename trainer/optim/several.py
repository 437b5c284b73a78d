"""Several optimizers that act as one, for groups of parameters with an optimizer of their own."""

from collections.abc import Sequence
from typing import Any

from torch.optim import Optimizer


class Several(Optimizer):
    """One optimizer to the loop, to a scheduler and to a checkpoint: its param_groups are those of its parts, one after
    the other, and they all keep their state in its `state`. A part updates its own groups. The defaults are those of
    the first part."""

    def __init__(self, parts: Sequence[Optimizer]) -> None:
        self.parts = list(parts)
        super().__init__([group for part in parts for group in part.param_groups], {})  # with defaults they would mix
        self.defaults = self.parts[0].defaults
        self._share()

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Step every part. closure: not supported, must be None."""
        for part in self.parts:
            part.step()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` gave. Raises ValueError for other groups."""
        super().load_state_dict(state_dict)
        self._share()

    def _share(self) -> None:
        groups = iter(self.param_groups)
        for part in self.parts:
            part.param_groups = [next(groups) for _ in part.param_groups]
            part.state = self.state


def parts(optimizer: Optimizer) -> list[Optimizer]:
    """The optimizers that an optimizer consists of: mostly itself alone."""
    return optimizer.parts if isinstance(optimizer, Several) else [optimizer]


def groups(optimizer: Optimizer) -> list[tuple[Optimizer, dict[str, Any]]]:
    """Each group of parameters, in their order, with the optimizer that updates it."""
    return [(part, group) for part in parts(optimizer) for group in part.param_groups]


def parameters(optimizer: Optimizer) -> list[Any]:
    """All parameters of an optimizer, group by group."""
    return [p for group in optimizer.param_groups for p in group["params"]]


def kinds(optimizer: Optimizer) -> str:
    """The names of an optimizer's classes: AdamW, or Muon and AdamW."""
    return " and ".join(dict.fromkeys(type(part).__name__ for part in parts(optimizer)))
