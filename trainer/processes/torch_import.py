"""Imports torch without Python's garbage collector, which would scan half a million objects again and again.

The import takes 2.5 s, not 2.7 s (`python benchmarks/shortcuts.py`, medians, November 2026); more is saved at exit.
"""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Import modules within this block. They stay, so the collector never scans them later, not even at exit.

    Does nothing if torch is imported already: then the process's other objects are not trainer's.
    """
    if "torch" in sys.modules or not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
