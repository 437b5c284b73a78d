"""Files that a stranger may have made: plain files only, no link followed, none larger than it can be, checked first.

Raises Damaged; nothing here parses more than a small JSON.
"""

import hashlib
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from trainer.disk.storage import MANIFEST
from trainer.text import cut

SMALL = 2**20  # bytes: the most that a config, a manifest or a summary takes
DEPTH = 40  # nested containers: the most that plain data needs
FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO would wait for a writer
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)


class Damaged(Exception):
    """A file or folder that is not what it should be."""


def read_file(path: Path, most: int = SMALL) -> bytes:
    """The bytes of a regular file of at most `most` bytes. Raises Damaged; FileNotFoundError where there is none."""
    try:
        handle = os.open(path, FLAGS)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged(f"{path} cannot be opened as a plain file: {error.strerror}") from error
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode):
        os.close(handle)
        raise Damaged(f"{path} is no plain file")
    with open(handle, "rb") as file:
        if found.st_size > most:
            raise Damaged(f"{path} has {found.st_size:,} bytes, at most {most:,} can be right")
        try:
            return file.read(found.st_size)
        except OSError as error:
            raise Damaged(f"{path} cannot be read: {error.strerror}") from error


def read_json(path: Path, most: int = SMALL) -> Any:
    """Plain data from a small JSON file. Raises Damaged, FileNotFoundError."""
    return parse_json(read_file(path, most), path)


def parse_json(data: bytes, path: Path) -> Any:
    """JSON bytes as plain data, not nested deeper than DEPTH. Raises Damaged that names `path`."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is no JSON: {error}") from error
    if depth(value) > DEPTH:
        raise Damaged(f"{path} is nested more than {DEPTH} deep")
    return value


def depth(value: Any) -> int:
    """How deep containers are nested in plain data."""
    levels, layer = 0, [value]
    while layer:
        layer = [
            inner
            for item in layer
            if isinstance(item, (dict, list))
            for inner in (item.values() if isinstance(item, dict) else item)
        ]
        levels += 1
    return levels


def number(value: Any) -> float | None:
    """A finite number that arithmetic can bear, up to 1e300; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e300 < value < 1e300:
        return None
    return float(value)


def count(value: Any) -> int | None:
    """A whole number from 0 that fits 63 bits; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def text(value: Any, most: int = 200) -> str:
    """A string of at most `most` characters; '' for anything else."""
    if not isinstance(value, str):
        return ""
    return cut(value, most)


def items(value: Any, kind: type = object) -> list[Any]:
    """The items of a list that are of a kind; [] for anything else."""
    return [item for item in value if isinstance(item, kind)] if isinstance(value, list) else []


def numbers(value: Any) -> dict[str, float]:
    """The finite numbers of a mapping, by name; {} for anything else."""
    found = {name: number(inner) for name, inner in value.items()} if isinstance(value, dict) else {}
    return {text(name, 80): inner for name, inner in found.items() if inner is not None}


def read_folder(path: Path, most: int) -> dict[str, bytes]:
    """The files of a folder, checked against its manifest before anybody parses them.

    most: bytes that all of them together can have. Raises Damaged.
    """
    if path.is_symlink() or not path.is_dir():
        raise Damaged(f"{path} is no folder")
    try:
        listed = read_json(path / MANIFEST)["files"]
        files = {}
        for name, expected in listed.items():
            if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name):
                raise Damaged(f"{path}: {name!r} is no file name")
            size = expected["bytes"]
            if not isinstance(size, int) or not 0 <= size <= most:
                raise Damaged(f"{path / name} cannot have {size} bytes")
            data = read_file(path / name, size)
            if len(data) != size or hashlib.sha256(data).hexdigest() != expected["sha256"]:
                raise Damaged(f"{path / name} is not what its manifest says")
            files[name], most = data, most - size
    except FileNotFoundError as error:
        raise Damaged(f"{error.filename} is missing") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{path / MANIFEST} is no manifest") from error
    return files
