"""Listeners: callables that take the loop's events, plus close(). They never touch weights, data or random numbers.

Guards, Pruning, MaxTime and Own may set progress.stop_reason, which ends the run; the others only record.

Each event goes to the listeners in the order of the list in run/runner.py. The order matters: Checkpoints follows the
metrics files and trackers, whose lines must be on the disk first.

A compiled step may take several steps a call and tell of them afterwards. A listener of the user's own that can bear
that, since it reads no weights, has an attribute `per_call` that is true; with one that has not, each step is a call.

Explain and Guards follow Console, so that their lines come after its own. The user's own listeners come last.
"""

from typing import Protocol

from trainer.events import Event, Stop


class Listener(Protocol):
    """Called with every event, in order; closed at the end, also after an error. Only one of the user's own may answer
    with a Stop, see own.py."""

    def __call__(self, event: Event) -> Stop | None: ...

    def close(self) -> None:
        """Release what the listener holds: nothing, unless it says otherwise."""
        return


class Tracker(Listener, Protocol):
    """A listener that may keep lines in memory."""

    def flush(self) -> None:
        """Write these lines; called before each checkpoint."""
        return

    def saved(self) -> None:
        """Called after each checkpoint."""
        return
