"""Every durable write of the program: atomic, synced, checksummed. OSErrors come out as StorageError with the path."""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainer.errors import StorageError

MANIFEST = "manifest.json"


class Damaged(Exception):
    """A folder whose files are not what its manifest says."""


def write_file(path: Path, data: bytes) -> None:
    """Replace a file whole: written beside it, synced, renamed; afterwards the old or the new one is there."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with _telling(path, len(data)):
        try:
            _write_synced(temporary, data)
            os.replace(temporary, path)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Replace a file by JSON that other programs read: indented, no NaN."""
    write_file(path, (json.dumps(value, indent=2, allow_nan=False) + "\n").encode())


def write_folder(path: Path, files: Mapping[str, bytes]) -> None:
    """Make a folder with these files and a manifest of their sha256; it appears whole under its name or not at all."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    digests = {name: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    manifest = json.dumps({"files": digests}, indent=2).encode()
    with _telling(path, sum(map(len, files.values()))):
        try:
            os.mkdir(temporary)
            for name, data in files.items():
                _write_synced(temporary / name, data)
            _write_synced(temporary / MANIFEST, manifest)
            _sync_folder(temporary)
            os.rename(temporary, path)
        except OSError:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _sync_folder(path.parent)


def read_folder(path: Path) -> dict[str, bytes]:
    """The files of a folder, checked against its manifest before anybody parses them. Raises Damaged."""
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())["files"]
        files = {}
        for name, expected in manifest.items():
            if Path(name).name != name:
                raise Damaged(f"{path}: {name!r} is no file name")
            data = (path / name).read_bytes()
            if len(data) != expected["bytes"] or hashlib.sha256(data).hexdigest() != expected["sha256"]:
                raise Damaged(f"{path / name} is not what its manifest says")
            files[name] = data
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{path}: {error}") from error
    return files


def remove_folder(path: Path) -> None:
    """Remove a folder; renamed first, so that a kill leaves no half of it under its name."""
    trash = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    with _telling(path):
        os.rename(path, trash)
        shutil.rmtree(trash)


def make_folder(path: Path) -> None:
    """Make a new folder, parents as needed. Raises FileExistsError where it is there: two runs never share one."""
    with _telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()
        _sync_folder(path.parent)


def cut(path: Path, size: int) -> None:
    """Cut a file back to `size` bytes; nothing where there is no file."""
    if path.exists():
        with _telling(path):
            os.truncate(path, size)


@contextmanager
def _telling(path: Path, num_bytes: int = 0) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        size = f" ({num_bytes:,} bytes)" if num_bytes else ""
        raise StorageError(f"cannot write {path}{size}: {error.strerror or error}") from error


def _write_synced(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    if os.name == "nt":  # Windows syncs no folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
