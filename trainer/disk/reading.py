"""Safe reads of files that a stranger may have made: plain files of limited size, no links (below a run or sweep folder
not on the way either, see folder.py). Raises Damaged."""

import hashlib
import json
import os
import re
import stat
from pathlib import Path
from typing import Any

from trainer.disk import folder
from trainer.disk.storage import MANIFEST
from trainer.text import cut

SMALL = 2**20  # bytes: more than any config, manifest or summary takes
DEPTH = 40  # nested containers: more than plain data needs
FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0)


class Damaged(Exception):
    """A file or folder is not what it should be."""


def read_file(path: Path, most: int = SMALL, *, last: int | None = None) -> bytes:
    """The bytes of a regular file of at most `most` bytes, or its `last` ones. Raises Damaged or FileNotFoundError."""
    try:
        with open(folder.open_file(path, FLAGS), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise Damaged(f"{path} is not a plain file")
            if status.st_size > most:
                raise Damaged(f"{path} has {status.st_size:,} bytes; it should have at most {most:,}")
            file.seek(max(0, status.st_size - last) if last is not None else 0)
            return file.read(status.st_size)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Damaged(f"{path} cannot be read as a plain file: {error.strerror}") from error


def read_json(path: Path, most: int = SMALL) -> Any:
    """Plain data from a JSON file of at most `most` bytes. Raises Damaged or FileNotFoundError."""
    return parse_json(read_file(path, most), path)


def parse_json(data: bytes, path: Path) -> Any:
    """Plain data from JSON bytes, nested at most DEPTH deep. Raises Damaged, which names `path`."""
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path} is not JSON: {error}") from error
    if depth(value) > DEPTH:
        raise Damaged(f"{path} is nested more than {DEPTH} deep")
    return value


def depth(value: Any) -> int:
    """The depth to which containers are nested in plain data."""
    levels, layer = 0, [value]
    while layer:
        containers = [item for item in layer if isinstance(item, (dict, list))]
        layer = [inner for item in containers for inner in (item.values() if isinstance(item, dict) else item)]
        levels += 1
    return levels


def number(value: Any) -> float | None:
    """A finite number below 1e300, so that arithmetic does not overflow; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -1e300 < value < 1e300:
        return None
    return float(value)


def count(value: Any) -> int | None:
    """An integer from 0 to 2**63 - 1; None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63 else None


def text(value: Any, most: int = 200) -> str:
    """A string, cut to at most `most` characters; '' for anything else."""
    return cut(value, most) if isinstance(value, str) else ""


def items(value: Any, kind: type = object) -> list[Any]:
    """The items of a list that are of a kind; [] for anything else."""
    return [item for item in value if isinstance(item, kind)] if isinstance(value, list) else []


def numbers(value: Any) -> dict[str, float]:
    """The finite numbers of a mapping, by name; {} for anything else."""
    values = {name: number(inner) for name, inner in value.items()} if isinstance(value, dict) else {}
    return {text(name, 80): inner for name, inner in values.items() if inner is not None}


def read_folder(path: Path, most: int) -> dict[str, bytes]:
    """A folder's files by name, `most` bytes in all, checked against its manifest before parsing. Raises Damaged."""
    status = folder.status(path)
    if status is None or not stat.S_ISDIR(status.st_mode):
        raise Damaged(f"{path} is not a folder")
    try:
        listed = read_json(path / MANIFEST)["files"]
        files = {}
        for name, expected in listed.items():
            if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name):
                raise Damaged(f"{path}: {name!r} is not a file name")
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
        raise Damaged(f"{path / MANIFEST} is not a manifest") from error
    return files
