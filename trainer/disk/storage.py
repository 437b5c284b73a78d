"""Every durable write of the program: atomic, synced, checksummed. OSErrors come out as StorageError with the path.

All of it goes through this module's `os`, so that a test can fail any one operation.
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
    """Replace a file whole: written beside it, synced, renamed; afterwards the old or the new one is there."""
    temporary = _beside(path)
    with _telling(path, len(data)), _removing(temporary):
        _write_synced(temporary, data, mode)
        os.replace(temporary, path)
        _sync_folder(path.parent)


@contextmanager
def new_file(path: Path) -> Iterator["Growing"]:
    """Replace a file whole by what is written to this one: synced and renamed at the end, gone on an error."""
    temporary = _beside(path)
    with _telling(path), _removing(temporary):
        file = Growing(os.open(temporary, NEW, 0o666))
        try:
            yield file
            os.fsync(file.handle)
        finally:
            os.close(file.handle)
        os.replace(temporary, path)
        _sync_folder(path.parent)


class Growing(io.RawIOBase):
    """A file that is only written to, from front to back."""

    def __init__(self, handle: int) -> None:
        self.handle, self.size = handle, 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """All of it."""
        _write(self.handle, data)
        self.size += len(memoryview(data).cast("B"))
        return len(memoryview(data).cast("B"))

    def tell(self) -> int:
        """Bytes written so far."""
        return self.size


def write_json(path: Path, value: Any, *, indent: int | None = 2) -> None:
    """Replace a file by JSON that other programs read: indented, no NaN."""
    write_file(path, (json.dumps(value, indent=indent, allow_nan=False) + "\n").encode())


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder with these files and a manifest of their sha256; it appears whole under its name or not at all."""
    temporary = _beside(path)
    digests = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    manifest = json.dumps({"files": digests}, indent=2).encode()
    with _telling(path, sum(map(len, files.values()))), _removing(temporary):
        os.mkdir(temporary)
        for name, data in files.items():
            _write_synced(temporary / name, data)
        _write_synced(temporary / MANIFEST, manifest)
        _sync_folder(temporary)
        os.rename(temporary, path)
        _sync_folder(path.parent)


def remove_folder(path: Path) -> None:
    """Remove a folder; renamed first, so that a kill leaves no half of it under its name."""
    trash = _beside(path)
    with _telling(path):
        os.rename(path, trash)
        _remove(trash)


def set_aside(path: Path) -> Path:
    """Rename what is damaged to NAME.corrupt, or NAME.corrupt-2 and so on; where it went."""
    aside, number = path.with_name(path.name + ".corrupt"), 2
    while os.path.lexists(aside):
        aside, number = path.with_name(f"{path.name}.corrupt-{number}"), number + 1
    with _telling(path):
        os.rename(path, aside)
        _sync_folder(path.parent)
    return aside


def make_folder(path: Path) -> None:
    """Make a new folder, parents as needed. Raises FileExistsError where it is there: two runs never share one."""
    with _telling(path):
        missing = [folder for folder in reversed(path.parents) if not folder.exists()]
        for folder in missing:
            with suppress(FileExistsError):  # another run was faster
                os.mkdir(folder)
            _sync_folder(folder.parent)
        os.mkdir(path)
        _sync_folder(path.parent)


def point(link: Path, target: Path) -> None:
    """Let a link name a folder, in one step; a text file where there are no links."""
    temporary = _beside(link)
    with _telling(link), _removing(temporary):
        try:
            os.symlink(target, temporary, target_is_directory=True)
        except (PermissionError, NotImplementedError):  # Windows without developer mode
            _write_synced(temporary, f"{target}\n".encode())
        os.replace(temporary, link)


def clear(folder: Path) -> None:
    """Remove what a kill has left half-written. Only for a folder that nobody else writes to."""
    with _telling(folder):
        for path in folder.glob(".*.tmp"):
            _remove(path)


def cut(path: Path, size: int) -> None:
    """Cut a file back to `size` bytes; nothing where there is no file, or a shorter one."""
    if path.is_symlink() or not path.is_file():
        return
    with _telling(path):
        if os.stat(path).st_size > size:
            os.truncate(path, size)


class Lines:
    """A file that only grows, by whole lines, each handed to the system at once. Links are not followed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with _telling(path):
            if os.path.lexists(path) and (os.lstat(path).st_nlink > 1 or not path.is_file()):
                raise StorageError(f"{path} is no plain file, or has a second name elsewhere", f"rm {path}")
            self.handle = os.open(path, APPEND, 0o666)
            self.size = os.stat(path).st_size

    def write(self, text: str) -> None:
        """Append."""
        data = text.encode()
        with _telling(self.path, len(data)):
            _write(self.handle, data)
        self.size += len(data)

    def sync(self) -> int:
        """Wait until all of it is on the disk; its size in bytes."""
        with _telling(self.path):
            os.fsync(self.handle)
        return self.size

    def close(self) -> None:
        """Close the file; a second time is nothing."""
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1


@contextmanager
def _telling(path: Path, num_bytes: int = 0) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        size = f" ({num_bytes:,} bytes)" if num_bytes else ""
        raise StorageError(f"cannot write {path}{size}: {error.strerror or error}") from error


@contextmanager
def _removing(temporary: Path) -> Iterator[None]:
    """Take a half-written file or folder away again after an error."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            _remove(temporary)
        raise


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


def _write_synced(path: Path, data: bytes, mode: int = 0o666) -> None:
    handle = os.open(path, NEW, mode)
    try:
        _write(handle, data)
        os.fsync(handle)
    finally:
        os.close(handle)


def _write(handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _sync_folder(path: Path) -> None:
    if os.name == "nt":  # Windows syncs no folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
