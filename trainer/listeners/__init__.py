"""Listeners: each takes the loop's events and only watches. A listener is a callable with close()."""

from typing import Protocol

from trainer.events import Event


class Listener(Protocol):
    """Called with every event, in order; closed at the end, also after an error."""

    def __call__(self, event: Event) -> None: ...
    def close(self) -> None: ...
