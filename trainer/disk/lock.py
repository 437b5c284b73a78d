"""One writer per run: an exclusive lock on a file in its folder, held for as long as the process lives."""

import errno
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainer.disk.folder import FolderPath, held
from trainer.disk.storage import open_in_place
from trainer.errors import ConfigError, StorageError

LOCK = ".lock"


@contextmanager
def only_writer(folder: Path) -> Iterator[FolderPath]:
    """Hold the run folder, and yield its path, see folder.held. Raises ConfigError, naming process and host, if another
    process holds it.

    The system releases the lock when the process ends, for whatever reason. On file systems without locks (some NFS)
    two writers are not noticed.
    """
    path = folder / LOCK
    try:
        handle = open_in_place(path, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    _held.add(handle)
    try:
        if not _take(handle):
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip().splitlines()
            who = holder[0] if holder and holder[0].isprintable() else "another process"
            text = f"{who} is writing to {folder}, and a run has only one writer"
            raise ConfigError(text, "wait until it is done, or stop it first (kill and its number)")
        with suppress(OSError):  # on a full disk the lock works without a name in it
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        with held(folder) as opened:
            yield opened
    finally:
        _held.discard(handle)
        os.close(handle)


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


_held: set[int] = set()


def _release() -> None:
    """Release the lock in a forked child, such as a DataLoader's worker: it would keep it after the run's death."""
    for handle in _held:
        os.close(handle)
    _held.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_release)
