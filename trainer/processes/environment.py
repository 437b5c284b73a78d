"""What the environment says of this process: whether a launcher made it one rank of several. No torch."""

import os


def launched() -> bool:
    """Whether torchrun, or trainer's own use of the same launcher, started this process as a rank."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def number() -> int:
    """This process's rank over all machines; 0 for a process that nobody launched."""
    return int(os.environ["RANK"]) if launched() else 0


def count() -> int:
    """Ranks over all machines."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1
