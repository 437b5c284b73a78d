"""The surroundings of a run, passed from the command line to the loop's listeners."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainer.listeners import Listener
from trainer.terminal.screen import Screen


@dataclass(frozen=True)
class Session:
    """The screen that a run prints to, and how it was started.

    Args:
        screen: where its lines go.
        started: perf_counter when the program started, in seconds.
        is_brief: whether it is a sweep's job, which shows no picture, chart or next commands.
        listeners: additional listeners, called after the run's own.
        num_cores: the cores that threads=auto may use; None: all that this process may use.
    """

    screen: Screen
    started: float
    is_brief: bool = False
    listeners: Sequence[Listener] = ()
    num_cores: int | None = None

    def without_screen(self) -> dict[str, Any]:
        """The other fields by name, which can be sent to another process."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self) if field.name != "screen"}
