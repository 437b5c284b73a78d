"""The splits that a process was started with: a sweep's fork server has loaded them, and its jobs inherit their memory.

Each is what make_splits would return in the job, bit for bit: its key holds all that decides rows which lie in memory
on the CPU, and which nothing changes at random. Whoever takes one has it alone, since a build completes it.
"""

from collections.abc import Hashable

from trainer.data.loaders import InMemory
from trainer.data.splits import Splits

_held: dict[Hashable, Splits] = {}


def put(key: Hashable, splits: Splits) -> None:
    """Hold splits, except where a loader depends on more than the key, such as the seed."""
    if all(type(loader) is InMemory and loader.device.type == "cpu" for loader in splits.loaders):
        _held[key] = splits


def take(key: Hashable) -> Splits | None:
    """The splits of this key, if they are held: once."""
    return _held.pop(key, None)
