"""Temporary folders that go with this process, however it ends: kill -9 included."""

import multiprocessing
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import util
from pathlib import Path

# Waits for the end of its standard input, the pipe of which this process alone holds the other end; then removes $1.
# A process that is being killed may still write there, hence the tries.
REMOVE = """exec 3<&0
{ cat; n=0; while rm -rf -- "$1"; [ -e "$1" ] && [ $n -lt 50 ]; do n=$((n+1)); sleep 0.1; done; } <&3 3<&- &"""

_watched: dict[str, int] = {}  # folder -> the end of a pipe


@contextmanager
def folder(prefix: str) -> Iterator[Path]:
    """Make a temporary folder, and remove it after the block."""
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
        _remove_at_death(name)
        try:
            yield Path(name)
        finally:
            if name in _watched:
                os.close(_watched.pop(name))


def for_sockets() -> None:
    """Let the folder where multiprocessing keeps its sockets go with this process; its children share it."""
    if multiprocessing.parent_process() is None:
        _remove_at_death(util.get_temp_dir())


def _remove_at_death(name: str) -> None:
    if os.name != "posix" or name in _watched:
        return
    reading, _watched[name] = os.pipe()
    command = ["/bin/sh", "-c", REMOVE, "sh", name]
    subprocess.run(command, stdin=reading, stdout=-3, stderr=-3, start_new_session=True, check=False)  # noqa: S603
    os.close(reading)
