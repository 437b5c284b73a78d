"""The changes of a run that take place at a step: parameters are unfrozen, an average of weights begins."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Change:
    """at: the number of steps taken before it. make: does it to a run. (One that held the run would keep it alive.)"""

    at: int
    make: Callable[[Any], None]


@dataclass
class Phases:
    """The changes of a run by name, none by default. begun: the step of each that has been made, in their order; a
    checkpoint holds it, so that what has begun stays begun, also in a run that became longer."""

    changes: dict[str, Change] = field(default_factory=dict)
    begun: dict[str, int] = field(default_factory=dict)

    def begin(self, run: Any, step: int) -> None:
        """Make the changes that are due after `step` steps, before the next."""
        due = [name for name, change in self.changes.items() if name not in self.begun and step >= change.at]
        for name in sorted(due, key=lambda name: self.changes[name].at):
            self.begun[name] = step
            self.changes[name].make(run)

    def repeat(self, run: Any, begun: Mapping[str, int]) -> None:
        """Make the changes that a checkpoint holds. Raises ValueError for one that is none of this run's."""
        for name, step in begun.items():
            if type(step) is not int or name not in self.changes:
                raise ValueError(f"it has begun {name!r}, which this run does not")
            self.begun[name] = step
            self.changes[name].make(run)

    def step_of(self, name: str) -> int | None:
        """The step of a change: where it was made, or else will be; None if there is no such change."""
        change = self.changes.get(name)
        return None if change is None else self.begun.get(name, change.at)
