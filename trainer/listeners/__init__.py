"""Listeners: callables that take the loop's events, plus close(). They never touch weights, data or random numbers.

Finite and Guards may set progress.stop_reason, which ends the run; the others only record.

Every event goes to the listeners in the order of their list (run/runner.py), and the order matters. The metrics files
and trackers come before Checkpoints, because a checkpoint counts on their lines of its step. Finite comes before it
too, so that no diverged state is saved. Explain and Guards come after Console: their lines follow those of the
evaluation. Listeners that the caller passes come last.
"""

from typing import Protocol

from trainer.events import Event


class Listener(Protocol):
    """Called with every event, in order; closed at the end, also after an error."""

    def __call__(self, event: Event) -> None: ...

    def close(self) -> None:
        """Release what the listener holds: nothing, unless it says otherwise."""
        return


class Tracker(Listener, Protocol):
    """A listener that may keep lines in memory."""

    def flush(self) -> None:
        """Write these lines; called before each checkpoint."""
        return
