"""The environment variables that make a process one rank of several, or keep the current folder off its path. Imports
no torch."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

SAFE_PATH, BY_US = "PYTHONSAFEPATH", "trainer"


@contextmanager
def safe_path() -> Iterator[None]:
    """Within: a Python process that is started does not look for modules in the current folder, not even before it is
    told the path of this one."""
    if os.environ.get(SAFE_PATH):
        yield
        return
    os.environ[SAFE_PATH] = BY_US
    try:
        yield
    finally:
        del os.environ[SAFE_PATH]


def forget_safe_path() -> None:
    """In a process that was started so: the scripts that it starts find their neighbours again."""
    if os.environ.get(SAFE_PATH) == BY_US:
        del os.environ[SAFE_PATH]


def launched() -> bool:
    """Whether torchrun, or trainer's own use of the same launcher, started this process as a rank."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def number() -> int:
    """This process's rank over all machines; 0 without a launcher."""
    return int(os.environ["RANK"]) if launched() else 0


def count() -> int:
    """The number of ranks over all machines; 1 without a launcher."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1
