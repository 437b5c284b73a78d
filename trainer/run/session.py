"""The surroundings of a run, passed from the command line to the loop's listeners."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from trainer.events import Event
from trainer.terminal.screen import Screen


@dataclass(frozen=True)
class Session:
    """The screen that a run prints to, and how it was started."""

    screen: Screen
    started: float  # perf_counter when the program started, in seconds
    is_brief: bool = False  # whether it is a sweep's job, which shows no picture, chart or next commands
    listeners: Sequence[Callable[[Event], Any]] = ()  # the user's own, called after the run's
    num_cores: int | None = None  # that threads=auto may use; None: all that this process may use
    num_jobs: int = 1  # of a sweep that run side by side on this machine
    may_measure: bool = False  # whether threads=auto may measure this machine, see processes/threads.py
    search: Connection | None = None  # that is told each evaluation and may end the run, see listeners/pruning.py
