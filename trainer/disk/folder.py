"""A run or sweep folder, which anybody may have made: no path below it is reached through a link.

The way to the folder may hold links, such as outputs/latest, or outputs/ on another disk. Each part of a path below it
is opened relative to the one above (dir_fd, O_NOFOLLOW). Windows has neither: there the path is resolved and compared,
which does not notice a link that is planted in between.
"""

import errno
import os
import shlex
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from trainer.errors import StorageError

if sys.platform == "win32":
    from pathlib import WindowsPath as _Path
else:
    from pathlib import PosixPath as _Path

HAS_HANDLES = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW")
PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
PLAIN |= getattr(os, "O_NONBLOCK", 0)  # otherwise a FIFO would wait for its other end
FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_CLOEXEC", 0)
LINK, LINK_OR_FILE = "It is a link, which is not followed", "Its folder is a link, which is not followed, or a file"


class Gone(StorageError):
    """A run folder, or a file in it that the run needs, was removed or moved while the run wrote to it."""

    def __init__(self, path: Path, what: str = "removed or moved", missing: str = "") -> None:
        super().__init__(f"{path} was {what} while the run wrote to it")
        self.missing = missing  # the name of the file; '' for the folder


class Folder:
    """A folder that paths lie in. While it is held open, they lead into this very folder, wherever it is moved.

    needed: names of files without which the folder cannot be used. lost: whether it was found to be gone; from then on
    it is written to wherever it can still be reached.
    """

    def __init__(self, path: Path) -> None:
        self.path = self.absolute = Path(path)
        self.handle: int | None = None
        self.needed: tuple[str, ...] = ()
        self.lost = False

    def check(self) -> None:
        """Raise Gone if the folder is held, and its path does not lead to it any more or a needed file is missing."""
        if self.handle is None or self.lost:
            return
        if not any(map(self._leads_here, (self.path, self.absolute))):
            place = self.place()
            raise Gone(self.path, f"moved to {place}" if place else "removed")
        for name in self.needed:
            try:
                os.stat(name, dir_fd=self.handle, follow_symlinks=False)
            except FileNotFoundError:
                raise Gone(self.path / name, missing=name) from None

    def gone(self) -> Gone | None:
        """What `check` raises, if it does."""
        try:
            self.check()
        except Gone as gone:
            return gone
        return None

    def place(self) -> Path | None:
        """Where the held folder is now; None if it was removed, or the system cannot tell."""
        if self.handle is None or os.fstat(self.handle).st_nlink == 0:
            return None
        with suppress(OSError):
            return Path(os.readlink(f"/proc/self/fd/{self.handle}"))
        with suppress(ImportError, AttributeError, OSError):
            import fcntl

            get_path = fcntl.F_GETPATH  # type: ignore[attr-defined]  # macOS
            return Path(os.fsdecode(fcntl.fcntl(self.handle, get_path, bytes(1024)).rstrip(b"\0")))
        return None

    def _leads_here(self, path: Path) -> bool:
        try:
            return os.path.samestat(os.stat(path), os.fstat(self.handle or 0))
        except OSError:
            return False


class FolderPath(_Path):
    """The path of a folder, or of something below it. folder: the one that it must not leave."""

    folder: Folder | None = None

    def __truediv__(self, name: Any) -> "FolderPath":
        return self._in_folder(super().__truediv__(name))

    def with_name(self, name: str) -> "FolderPath":
        return self._in_folder(super().with_name(name))

    def with_suffix(self, suffix: str) -> "FolderPath":
        return self._in_folder(super().with_suffix(suffix))

    @property
    def parent(self) -> Path:  # type: ignore[override]
        above = Path(super().parent)
        return above if self.folder is None or self == self.folder.path else self._in_folder(FolderPath(above))

    def exists(self, **_: Any) -> bool:
        """Whether there is anything; a link counts."""
        return status(self) is not None

    def is_file(self, **_: Any) -> bool:
        """Whether it is a regular file; a link to one is none."""
        return (found := status(self)) is not None and stat.S_ISREG(found.st_mode)

    def is_dir(self, **_: Any) -> bool:
        """Whether it is a folder; below the top, a link to one is none."""
        return (found := status(self)) is not None and stat.S_ISDIR(found.st_mode)

    def __reduce__(self) -> Any:
        return (_rebuilt, (str(self), None if self.folder is None else str(self.folder.path)))

    def _in_folder(self, path: Any) -> "FolderPath":
        path.folder = self.folder
        return path  # type: ignore[no-any-return]


def _rebuilt(path: str, top: str | None) -> FolderPath:
    made = FolderPath(path)
    made.folder = None if top is None else Folder(Path(top))
    return made


def top(path: Path) -> FolderPath:
    """The path of a folder as the one that paths below it must not leave."""
    return _rebuilt(str(path), str(path))


def of(path: Path) -> Folder:
    """The folder that a path must not leave: for a plain path the path itself."""
    return (path.folder if isinstance(path, FolderPath) else None) or Folder(path)


@contextmanager
def held(path: Path) -> Iterator[FolderPath]:
    """Keep a folder open, and yield its path."""
    made = top(path)
    if made.folder is None or not HAS_HANDLES:
        yield made
        return
    with opened(path) as handle:
        made.folder.handle, made.folder.absolute = handle, Path(path).absolute()
        try:
            yield made
        finally:
            made.folder.handle = None


@contextmanager
def opened(path: Path) -> Iterator[int | None]:
    """Open a folder. Yields its handle; None where the system has none. Raises OSError, for a link too."""
    folder = of(path)
    parts = Path(path).relative_to(folder.path).parts
    if ".." in parts:
        raise OSError(errno.EINVAL, "It leaves its folder", str(path))
    if not HAS_HANDLES:
        _compare(path, folder.path)
        yield None
        return
    handle = os.dup(folder.handle) if folder.handle is not None else os.open(folder.path, FOLDER)
    try:
        for part in parts:
            try:
                inner = os.open(part, FOLDER | PLAIN, dir_fd=handle)
            except OSError as error:
                if error.errno in (errno.ELOOP, errno.ENOTDIR):
                    raise OSError(errno.ENOTDIR, LINK_OR_FILE, str(path)) from error
                raise
            os.close(handle)
            handle = inner
        yield handle
    finally:
        os.close(handle)


@contextmanager
def place(path: Path) -> Iterator[tuple[int | None, str]]:
    """Open the folder that a path lies in. Yields its handle, and the path's name in it, for calls with dir_fd; None
    and the whole path where the system has no handles. An OSError names the path."""
    try:
        with opened(path.parent) as handle:
            yield handle, str(path) if handle is None else path.name
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        error.strerror = LINK if error.errno == errno.ELOOP else error.strerror
        raise


def open_file(path: Path, flags: int, opener: Callable[..., int] = os.open) -> int:
    """Open a file that is not a link. Returns its handle. opener: os.open, or what stands for it."""
    with place(path) as (handle, name):
        if handle is None and os.path.islink(name):
            raise OSError(errno.ELOOP, LINK)
        return opener(name, flags | PLAIN, 0o666, dir_fd=handle)


def status(path: Path) -> os.stat_result | None:
    """The status of a path itself, not of what a link there leads to; None if there is nothing, or a link on its way.
    The status of a folder's own path is that of the folder."""
    try:
        if isinstance(path, FolderPath) and path == of(path).path:
            return os.stat(path)
        with place(path) as (handle, name):
            return os.stat(name, dir_fd=handle, follow_symlinks=False)
    except OSError:
        return None


def names(path: Path) -> list[str]:
    """The sorted names in a folder; [] if there is none. Raises StorageError if it is something else."""
    try:
        with opened(path) as handle:
            return sorted(os.listdir(path if handle is None else handle))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error


def check_content(path: Path) -> None:
    """Raise StorageError if a folder holds a link: for a library that opens files in it by their names."""
    for name in names(path):
        found = status(path / name)
        if found is None or not (stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)):
            raise StorageError(f"{path / name} is not a plain file or folder", f"rm {shlex.quote(str(path / name))}")


def _compare(path: Path, top: Path) -> None:
    """Raise OSError where a link below `top` leads elsewhere. For systems without handles."""
    path = Path(path)
    if path.resolve() != top.resolve() / path.relative_to(top):
        raise OSError(errno.ENOTDIR, LINK_OR_FILE, str(path))
