"""Every durable write of the program: atomic, synced, checksummed. An OSError becomes a StorageError with the path.

Below a run or sweep folder no link is followed, see folder.py. All of it goes through this module's `os`, so that a
test can let any one operation fail.
"""

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

from trainer.disk import folder
from trainer.disk.new_file import NewFile
from trainer.errors import StorageError

MANIFEST = "manifest.json"
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def write_file(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Replace a file in one step: after a crash either the old or the new file is there, never a part of one."""
    with _replacement(path, len(data)) as temporary:
        _write_synced(temporary, data, mode)


@contextmanager
def new_file(path: Path) -> Iterator[NewFile]:
    """Replace a file by what is written to the yielded one: synced and renamed at the end, removed after an error."""
    with _replacement(path) as temporary, _new(temporary) as handle:
        yield NewFile(partial(_write, handle))


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> None:
    """Replace a file by JSON that other programs read: indented, no NaN."""
    write_file(path, (json.dumps(value, indent=indent, allow_nan=False) + "\n").encode())


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder of these files and a manifest of their sha256. It appears under its name complete or not at all, in
    place of one that has this name: a crash may leave neither."""
    digests = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    manifest = json.dumps({"files": digests}, indent=2).encode()
    with _replacement(path, sum(map(len, files.values()))) as temporary:
        _make(temporary)
        for name, data in [*files.items(), (MANIFEST, manifest)]:
            _write_synced(temporary / name, data)
        _sync_folder(temporary)
        if folder.status(path) is not None:
            remove_folder(path)


def remove_folder(path: Path) -> None:
    """Remove a folder. It is renamed first, so that a kill leaves no half of it under its name."""
    rename(path, trash := _beside(path), durably=False)
    remove(trash)


def rename(path: Path, to: Path, *, durably: bool = True) -> None:
    """Give a file or folder another name beside its own. durably: wait until that is on the disk."""
    with _storage_errors(path), folder.place(path) as (handle, name):
        os.rename(name, to if handle is None else to.name, src_dir_fd=handle, dst_dir_fd=handle)
        if durably and handle is not None:
            os.fsync(handle)


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder to NAME.corrupt, NAME.corrupt-2, …; returns its new path."""
    aside, number = path.with_name(f"{path.name}.corrupt"), 2
    while folder.status(aside) is not None:
        aside, number = path.with_name(f"{path.name}.corrupt-{number}"), number + 1
    rename(path, aside)
    return aside


def make_folder(path: Path) -> None:
    """Make a new folder. Raises FileExistsError if it exists: two runs never share one. Its parents are made as needed,
    except below a run or sweep folder."""
    with _storage_errors(path):
        is_below = path != folder.of(path).path
        for above in [] if is_below else [parent for parent in reversed(path.parents) if not parent.exists()]:
            with suppress(FileExistsError):  # another run made it first
                os.mkdir(above)
            _sync_folder(above.parent)
        _make(path)
        _sync_folder(path.parent)


def open_folder(path: Path) -> Path:
    """Make a folder unless it is there. Raises StorageError if something else, such as a link, has its name."""
    if folder.status(path) is None:
        make_folder(path)
    with _storage_errors(path), folder.opened(path):
        return path


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it; of a link, only the link. Does nothing if there is none."""
    if (found := folder.status(path)) is None:
        return
    with _storage_errors(path):
        is_folder = stat.S_ISDIR(found.st_mode)
        for name in folder.names(path) if is_folder else []:
            remove(path / name)
        with folder.place(path) as (handle, name):
            (os.rmdir if is_folder else os.unlink)(name, dir_fd=handle)


def point(link: Path, target: Path) -> None:
    """Make a link name another folder, in one step; a text file on systems without links."""
    with _replacement(link) as temporary:
        try:
            os.symlink(target, temporary, target_is_directory=True)
        except (PermissionError, NotImplementedError):  # Windows without developer mode
            _write_synced(temporary, f"{target}\n".encode())


def remove_leftovers(path: Path) -> None:
    """Remove the half-written files that a kill left in a folder. Only for one that no other process writes to."""
    for name in folder.names(path):
        if name.startswith(".") and name.endswith(".tmp"):
            remove(path / name)


def truncate(path: Path, size: int) -> None:
    """Cut a file back to `size` bytes. Does nothing if there is no file, or a shorter one."""
    if folder.status(path) is None:
        return
    with _storage_errors(path), open(open_in_place(path, os.O_WRONLY), "wb") as file:
        if os.fstat(file.fileno()).st_size > size:
            os.ftruncate(file.fileno(), size)


def open_in_place(path: Path, flags: int) -> int:
    """Open a file whose content is changed where it lies: a regular file with no other name, not a link. Returns its
    handle. Raises StorageError for anything else, OSError if it cannot be opened."""
    handle = folder.open_file(path, flags, os.open)
    found = os.fstat(handle)
    if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
        return handle
    os.close(handle)
    raise StorageError(f"{path} is not a plain file, or has a second name elsewhere", f"rm {path}")


class AppendFile:
    """A file that only grows, by complete lines, each passed to the system at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _storage_errors(path):
            self.handle = open_in_place(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            self.size = os.fstat(self.handle).st_size

    def write(self, text: str) -> None:
        """Append the text."""
        data = text.encode()
        with _storage_errors(self.path, len(data), check=False):
            _write(self.handle, data)
        self.size += len(data)

    def sync(self) -> int:
        """Wait until the file is on the disk; returns its size in bytes."""
        with _storage_errors(self.path, check=False):
            os.fsync(self.handle)
        return self.size

    def check(self) -> None:
        """Raise Gone if the file's folder is gone, or its name there leads to another file or to none."""
        folder.of(self.path).check()
        found = folder.status(self.path)
        if found is None or not os.path.samestat(found, os.fstat(self.handle)):
            raise folder.Gone(self.path, missing=self.path.name)

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


@contextmanager
def _storage_errors(path: Path, num_bytes: int = 0, *, check: bool = True) -> Iterator[None]:
    try:
        if check:
            folder.of(path).check()
        yield
    except FileExistsError:
        raise
    except OSError as error:
        size = f" ({num_bytes:,} bytes)" if num_bytes else ""
        raise StorageError(f"cannot write {path}{size}: {error.strerror or error}") from error


@contextmanager
def _replacement(path: Path, num_bytes: int = 0) -> Iterator[Path]:
    """Yield a temporary name beside `path`; then rename what was made there to `path`, or remove it after an error."""
    temporary = _beside(path)
    with _storage_errors(path, num_bytes):
        try:
            yield temporary
            with folder.place(path) as (handle, name):
                os.replace(temporary if handle is None else temporary.name, name, src_dir_fd=handle, dst_dir_fd=handle)
            _sync_folder(path.parent)
        except BaseException:
            with suppress(StorageError):
                remove(temporary)
            raise


@contextmanager
def _new(path: Path, mode: int = 0o666) -> Iterator[int]:
    """Make and open a new file; sync it at the end, and close it, also after an error."""
    with folder.place(path) as (folder_handle, name):
        handle = os.open(name, NEW, mode, dir_fd=folder_handle)
    try:
        yield handle
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_synced(path: Path, data: bytes, mode: int = 0o666) -> None:
    with _new(path, mode) as handle:
        _write(handle, data)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _make(path: Path) -> None:
    with folder.place(path) as (handle, name):
        os.mkdir(name, dir_fd=handle)


def _write(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _sync_folder(path: Path) -> None:
    with folder.opened(path) as handle:
        if handle is not None:  # Windows cannot sync a folder
            os.fsync(handle)
