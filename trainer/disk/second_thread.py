"""From how many floating-point operations a second thread pays: one number in the user's cache folder, for each
processor, number of cores and version of torch. It is a measurement, see processes/second_thread.py."""

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import NamedTuple

from trainer.disk import reading, storage, user_file

LEAST, MOST = 10e6, 1e9  # FLOP of a step: a number outside these is not a measurement of ours
KEY = "second_thread_from_flop"


class Machine(NamedTuple):
    """What the number depends on. cpu: the processor's model; cores: how many are usable; torch: its version."""

    cpu: str
    cores: int
    torch: str


def cache_folder() -> Path:
    """The user's cache folder. Raises RuntimeError for a user without a home folder."""
    if (named := os.environ.get("XDG_CACHE_HOME")) and Path(named).is_absolute():
        return Path(named)
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local)
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


def path(machine: Machine) -> Path:
    """The file of a machine's number. Raises RuntimeError for a user without a home folder."""
    name = hashlib.sha256("\n".join(map(str, machine)).encode()).hexdigest()[:16]
    return cache_folder() / "trainer" / f"second-thread-{name}.json"


def read(machine: Machine) -> float | None:
    """The stored number; None if there is none. Raises Damaged for a file that does not hold one of this machine."""
    try:
        file = path(machine)
        if not file.parent.is_dir():
            return None
        found = reading.read_json(file, 10_000)
    except (FileNotFoundError, RuntimeError):
        return None
    number = reading.number(found.get(KEY)) if isinstance(found, dict) else None
    if number is None or not LEAST <= number <= MOST or any(found.get(k) != v for k, v in machine._asdict().items()):
        raise reading.Damaged(f"{file} does not hold a number of this machine")
    return number


def can_store(machine: Machine) -> bool:
    """Whether the number's folder is there, or can be made, and takes files."""
    try:
        folder = path(machine).parent
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):
        return False
    return os.access(folder, os.W_OK | os.X_OK)


def store(machine: Machine, number: float, *, replace: bool = False) -> None:
    """Store the number. Without `replace` a file that is there stays, whatever it holds. Raises OSError, RuntimeError
    or StorageError where there is no folder for it."""
    data = json.dumps({**machine._asdict(), KEY: number}, indent=2).encode() + b"\n"
    if replace:
        storage.write_file(path(machine), data)
    else:
        user_file.make_once(path(machine), data)
