"""SIGINT and SIGTERM: before training they end the program at once; while a run listens, they become a wish to stop."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from trainer.errors import Interrupted

_listening = False
_wish: int | None = None


def install() -> None:
    """Take over SIGINT and SIGTERM. Call it before anything heavy is imported."""
    signal.signal(signal.SIGINT, _handle)
    signal.signal(signal.SIGTERM, _handle)


@contextmanager
def listening() -> Iterator[None]:
    """Within: the first signal is only noted, see `wish`; a second one ends the process at once."""
    global _listening, _wish
    _listening, _wish = True, None
    try:
        yield
    finally:
        _listening = False


def wish() -> int | None:
    """The number of the signal that asked this run to stop, or None."""
    return _wish


def _handle(number: int, frame: FrameType | None) -> None:
    global _wish
    if not _listening:
        raise Interrupted(number)
    if _wish is not None:
        os._exit(128 + number)
    _wish = number
