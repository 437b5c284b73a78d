"""Importing torch without Python's collector, which looks through half a million objects again and again meanwhile."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Within: modules are imported. They stay, so the collector never looks at them later, not even at the very end.

    Nothing of that where torch is there already: what else is in that process is not ours.
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
