"""One writer per run or sweep: an exclusive lock on a file in its folder, held for as long as the process lives."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainer.disk.folder import FolderPath, held, open_file
from trainer.disk.storage import open_in_place
from trainer.errors import InUse, StorageError

LOCK = ".lock"


@contextmanager
def only_writer(folder: Path, kind: str = "run") -> Iterator[FolderPath]:
    """Hold a folder, and yield its path, see folder.held; a process that holds it already goes on holding it. kind: a
    run or a sweep, for the message.

    The system releases the lock when the process ends, for whatever reason. On file systems without locks (some NFS)
    two writers are not noticed. Raises InUse, naming process and host, if another process holds the folder.
    """
    path = folder / LOCK
    try:
        handle = open_in_place(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    if _file(handle) in _held.values():
        os.close(handle)
        with held(folder) as opened:
            yield opened
        return
    _held[handle] = _file(handle)
    try:
        if not _take(handle):
            text = f"{folder} is being written by {_name(handle)}, and a {kind} has only one writer"
            raise InUse(text, "wait until it is done, or stop it first (kill and its number)")
        with suppress(OSError):  # on a full disk the lock works without a name in it
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        with held(folder) as opened:
            yield opened
    finally:
        _held.pop(handle, None)  # a forked child has released it
        os.close(handle)


def holder(folder: Path) -> str | None:
    """The other process that holds a folder, as 'process 12 on host'; None if there is none, or if it cannot be told.
    Changes nothing in the folder."""
    try:
        handle = open_file(folder / LOCK, os.O_RDWR)
    except OSError:
        return None
    try:
        return None if _file(handle) in _held.values() or _take(handle) else _name(handle)
    finally:
        os.close(handle)


def _name(handle: int) -> str:
    """What the holder of a lock has written into its file."""
    lines = os.pread(handle, 200, 0).decode(errors="replace").strip().splitlines()
    return lines[0] if lines and lines[0].isprintable() else "another process"


def _file(handle: int) -> tuple[int, int]:
    """(device, inode) of an open file."""
    status = os.fstat(handle)
    return status.st_dev, status.st_ino


def _take(handle: int) -> bool:
    """Whether this process has the lock now; true on systems without locks."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except ImportError:  # Windows
        return True
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS):
            raise
    return True


_held: dict[int, tuple[int, int]] = {}  # the open lock files of this process


def _release() -> None:
    """Release the lock in a forked child, such as a DataLoader's worker: it would keep it after the run's death."""
    for handle in _held:
        os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release)
