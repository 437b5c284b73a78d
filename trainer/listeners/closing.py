"""Closes listeners, whatever one of them raises."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress

from trainer.listeners import Listener


@contextmanager
def closing(listeners: Sequence[Listener]) -> Iterator[None]:
    """Close each after the block, in their order. After an error in the block it alone is raised."""
    try:
        yield
    except BaseException:
        for listener in listeners:
            with suppress(Exception):
                listener.close()
        raise
    with ExitStack() as rest:
        for listener in reversed(listeners):
            rest.callback(listener.close)
