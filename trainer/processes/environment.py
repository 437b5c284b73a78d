"""The environment variables that make a process one rank of several. Imports no torch."""

import os


def launched() -> bool:
    """Whether torchrun, or trainer's own use of the same launcher, started this process as a rank."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def number() -> int:
    """This process's rank over all machines; 0 without a launcher."""
    return int(os.environ["RANK"]) if launched() else 0


def count() -> int:
    """The number of ranks over all machines; 1 without a launcher."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1
