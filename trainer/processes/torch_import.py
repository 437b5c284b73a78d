"""Imports torch without Python's garbage collector, which would scan half a million objects again and again.

The import takes 2.5 s, not 2.7 s (`python benchmarks/shortcuts.py`, medians, November 2026); more is saved at exit.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from trainer.processes import environment


@contextmanager
def uncollected(*, announced: bool = True) -> Iterator[None]:
    """Import modules within this block. They stay, so the collector never scans them later, not even at exit. A
    terminal says meanwhile what takes so long, unless it is not to be `announced`.

    Does nothing if torch is imported already: then the process's other objects are not trainer's.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        with _notice() if announced and environment.number() == 0 else nullcontext():
            yield
    finally:
        gc.freeze()
        gc.enable()


def _notice() -> AbstractContextManager[None]:
    stream = next((stream for stream in (sys.stderr, sys.stdout) if stream is not None and stream.isatty()), None)
    if stream is None:
        return nullcontext()
    from trainer.terminal.region import notice  # rich takes 60 ms to import

    return notice("importing torch", stream)
