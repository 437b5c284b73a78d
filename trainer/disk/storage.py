"""Every durable write of the program: atomic, synced, checksummed. An OSError becomes a StorageError with the path.

All of it goes through this module's `os`, so that a test can let any one operation fail.
"""

import hashlib
import io
import json
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from trainer.errors import StorageError

MANIFEST = "manifest.json"
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
APPEND = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)


def write_file(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Replace a file in one step: after a crash either the old or the new file is there, never a part of one."""
    with _replacement(path, len(data)) as temporary:
        _write_synced(temporary, data, mode)


def write_new(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Make a file in one step, or leave the one that is there: of several writers at once the first one wins."""
    temporary = _beside(path)
    with _storage_errors(path, len(data)):
        try:
            _write_synced(temporary, data, mode)
            try:
                os.link(temporary, path)
            except FileExistsError:
                pass
            except OSError:  # a file system without hard links
                os.replace(temporary, path)
            _sync_folder(path.parent)
        finally:
            with suppress(OSError):
                _remove(temporary)


@contextmanager
def new_file(path: Path) -> Iterator["NewFile"]:
    """Replace a file by what is written to the yielded one: synced and renamed at the end, removed after an error."""
    with _replacement(path) as temporary, _synced(temporary, NEW) as handle:
        yield NewFile(handle)


class NewFile(io.RawIOBase):
    """A file that can only be written, from front to back. size: bytes written so far."""

    def __init__(self, handle: int) -> None:
        self.handle, self.size = handle, 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Write all of data; returns its size in bytes."""
        _write(self.handle, data)
        num_bytes = memoryview(data).nbytes
        self.size += num_bytes
        return num_bytes

    def tell(self) -> int:
        return self.size


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> None:
    """Replace a file by JSON that other programs read: indented, no NaN."""
    write_file(path, (json.dumps(value, indent=indent, allow_nan=False) + "\n").encode())


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder of these files and a manifest of their sha256. It appears under its name complete or not at all."""
    digests = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    manifest = json.dumps({"files": digests}, indent=2).encode()
    with _replacement(path, sum(map(len, files.values()))) as temporary:
        os.mkdir(temporary)
        for name, data in files.items():
            _write_synced(temporary / name, data)
        _write_synced(temporary / MANIFEST, manifest)
        _sync_folder(temporary)


def remove_folder(path: Path) -> None:
    """Remove a folder. It is renamed first, so that a kill leaves no half of it under its name."""
    trash = _beside(path)
    with _storage_errors(path):
        os.rename(path, trash)
        _remove(trash)


def set_aside(path: Path) -> Path:
    """Rename a damaged file or folder to NAME.corrupt, NAME.corrupt-2, …; returns its new path."""
    aside, number = path.with_name(path.name + ".corrupt"), 2
    while os.path.lexists(aside):
        aside, number = path.with_name(f"{path.name}.corrupt-{number}"), number + 1
    with _storage_errors(path):
        os.rename(path, aside)
        _sync_folder(path.parent)
    return aside


def make_folder(path: Path) -> None:
    """Make a new folder, and its parents as needed. Raises FileExistsError if it exists: two runs never share one."""
    with _storage_errors(path):
        for folder in [parent for parent in reversed(path.parents) if not parent.exists()]:
            with suppress(FileExistsError):  # another run made it first
                os.mkdir(folder)
            _sync_folder(folder.parent)
        os.mkdir(path)
        _sync_folder(path.parent)


def point(link: Path, target: Path) -> None:
    """Make a link name another folder, in one step; a text file on systems without links."""
    with _replacement(link) as temporary:
        try:
            os.symlink(target, temporary, target_is_directory=True)
        except (PermissionError, NotImplementedError):  # Windows without developer mode
            _write_synced(temporary, f"{target}\n".encode())


def remove_leftovers(folder: Path) -> None:
    """Remove the half-written files that a kill left. Only for a folder that no other process writes to."""
    with _storage_errors(folder):
        for path in folder.glob(".*.tmp"):
            _remove(path)


def truncate(path: Path, size: int) -> None:
    """Cut a file back to `size` bytes. Does nothing if there is no file, or a shorter one."""
    if path.is_symlink() or not path.is_file():
        return
    with _storage_errors(path):
        if os.stat(path).st_size > size:
            os.truncate(path, size)


class AppendFile:
    """A file that only grows, by complete lines, each passed to the system at once. Does not follow links."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _storage_errors(path):
            if os.path.lexists(path) and (os.lstat(path).st_nlink > 1 or not path.is_file()):
                raise StorageError(f"{path} is not a plain file, or has a second name elsewhere", f"rm {path}")
            self.handle = os.open(path, APPEND, 0o666)
            self.size = os.stat(path).st_size

    def write(self, text: str) -> None:
        """Append the text."""
        data = text.encode()
        with _storage_errors(self.path, len(data)):
            _write(self.handle, data)
        self.size += len(data)

    def sync(self) -> int:
        """Wait until the file is on the disk; returns its size in bytes."""
        with _storage_errors(self.path):
            os.fsync(self.handle)
        return self.size

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


@contextmanager
def _storage_errors(path: Path, num_bytes: int = 0) -> Iterator[None]:
    try:
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
            os.replace(temporary, path)
            _sync_folder(path.parent)
        except BaseException:
            with suppress(OSError):
                _remove(temporary)
            raise


@contextmanager
def _synced(path: Path, flags: int, mode: int = 0o666) -> Iterator[int]:
    """Open a file or folder; sync it at the end, and close it, also after an error."""
    handle = os.open(path, flags, mode)
    try:
        yield handle
        os.fsync(handle)
    finally:
        os.close(handle)


def _write_synced(path: Path, data: bytes, mode: int = 0o666) -> None:
    with _synced(path, NEW, mode) as handle:
        _write(handle, data)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for name in os.listdir(path):
            _remove(path / name)
        os.rmdir(path)
    else:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _write(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _sync_folder(path: Path) -> None:
    if os.name != "nt":  # Windows cannot sync a folder
        with _synced(path, os.O_RDONLY):
            pass
