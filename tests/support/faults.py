"""An `os` for disk/storage.py that counts its operations and lets one of them fail, and a disk that loses power."""

import errno
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

WRITING = ("mkdir", "open", "write", "fsync", "rename", "replace", "unlink", "rmdir", "symlink", "ftruncate")
ERRORS = {"no space": errno.ENOSPC, "input-output error": errno.EIO, "read-only": errno.EROFS}
FAULTS = ("kill", "torn write", *ERRORS)


class FaultyOS:
    """Operation number `at` (from 0) of those in WRITING goes wrong. Errors last: what comes after fails too."""

    def __init__(self, at: int, fault: str) -> None:
        self.at, self.fault, self.count = at, fault, 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(os, name)
        return self._counted(name, real) if name in WRITING else real

    def _counted(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any, **kwargs: Any) -> Any:
            number, self.count = self.count, self.count + 1
            if number == self.at and self.fault == "torn write" and name == "write":
                real(args[0], bytes(args[1])[: len(args[1]) // 2])
            if number == self.at and self.fault in ("kill", "torn write"):
                os.kill(os.getpid(), signal.SIGKILL)
            if number >= self.at and self.fault in ERRORS:
                raise OSError(ERRORS[self.fault], os.strerror(ERRORS[self.fault]))
            return real(*args, **kwargs)

        return operation


class Recorder:
    """Carries out and writes down what storage does, in order; `skip` names one place in it that is left out."""

    def __init__(self, root: Path, skip: tuple[int, ...] | None = None) -> None:
        self.root, self.skip = root, skip
        self.log: list[tuple[Any, ...]] = []
        self.places: set[tuple[int, ...]] = set()

    def __getattr__(self, name: str) -> Any:
        return getattr(os, name)

    def _left_out(self) -> bool:
        """Whether the place in storage.py that calls is to be left out. A place is its lines, from outside in."""
        frame, lines = sys._getframe(2), []
        while frame is not None:
            if frame.f_code.co_filename.endswith("trainer/disk/storage.py"):
                lines.append(frame.f_lineno)
            frame = frame.f_back
        place = tuple(reversed(lines))
        self.places.add(place)
        return place == self.skip

    def open(self, name: str, flags: int, mode: int = 0o777, *, dir_fd: int) -> int:
        path = _path(dir_fd) / name
        new = not os.path.lexists(path)
        handle = os.open(path, flags, mode)
        if flags & os.O_CREAT and new:
            self.log.append(("create", path))
        return handle

    def write(self, handle: int, data: Any) -> int:
        self.log.append(("write", _path(handle), bytes(data)))
        return os.write(handle, data)

    def fsync(self, handle: int) -> None:
        if not self._left_out():
            self.log.append(("sync", _path(handle)))

    def mkdir(self, name: Any, *, dir_fd: int | None = None) -> None:
        os.mkdir(name, dir_fd=dir_fd)
        self.log.append(("mkdir", _path(dir_fd) / name))

    def rename(self, old: str, new: str, *, src_dir_fd: int, dst_dir_fd: int) -> None:
        if not self._left_out():
            os.rename(old, new, src_dir_fd=src_dir_fd, dst_dir_fd=dst_dir_fd)
            self.log.append(("rename", _path(src_dir_fd) / old, _path(dst_dir_fd) / new))

    replace = rename

    def unlink(self, name: str, *, dir_fd: int) -> None:
        os.unlink(name, dir_fd=dir_fd)
        self.log.append(("remove", _path(dir_fd) / name))

    def rmdir(self, name: str, *, dir_fd: int) -> None:
        os.rmdir(name, dir_fd=dir_fd)
        self.log.append(("remove", _path(dir_fd) / name))

    def note(self, what: str) -> None:
        """Something that the test wants to find in the log again."""
        self.log.append(("note", what))


def _path(handle: int | None) -> Path:
    """Where an open file or folder is; for None the current folder."""
    return Path.cwd() if handle is None else Path(os.readlink(f"/proc/self/fd/{handle}"))


class Node:
    """A file or folder on the disk. pending: what has happened to it and is not synced."""

    def __init__(self, folder: bool) -> None:
        self.folder = folder
        self.entries: dict[str, Node] = {}
        self.data = b""
        self.pending: list[Callable[[Node], None]] = []


def after_power_loss(log: list[tuple[Any, ...]], root: Path, chance: random.Random) -> Node:
    """One state of the disk that the weakest POSIX allows after this log.

    What is not synced may be there or not, each operation for itself; a write may be there in part. A rename within a
    folder is there whole or not at all.
    """
    disk = Node(folder=True)  # as the disk has it
    live: dict[Path, Node] = {root: disk}  # as the running system sees it
    for kind, *args in log:
        if kind == "note":
            continue
        path = args[0]
        if kind in ("create", "mkdir"):
            node = live[path] = Node(folder=kind == "mkdir")
            live[path.parent].pending.append(_enter(path.name, node))
        elif kind == "write":
            live[path].pending.append(_append(args[1]))
        elif kind == "rename":
            new = args[1]
            node = live[path]
            for inside in [p for p in live if p.is_relative_to(path)]:
                live[new / inside.relative_to(path)] = live.pop(inside)
            live[path.parent].pending.append(_move(path.name, new.name, node))
        elif kind == "remove":
            del live[path]
            live[path.parent].pending.append(_drop(path.name))
        elif kind == "sync":
            for change in live[path].pending:
                change(live[path])
            live[path].pending.clear()
    for node in _all_nodes(disk, live):
        synced = len(node.data)
        for change in node.pending:
            if chance.random() < 0.5:
                change(node)
        if chance.random() < 0.3:
            node.data = node.data[: chance.randint(synced, len(node.data))]
    return disk


def lay_out(node: Node, path: Path) -> None:
    """Write a disk's state into a real folder."""
    if node.folder:
        path.mkdir(exist_ok=True)
        for name, inner in node.entries.items():
            lay_out(inner, path / name)
    else:
        path.write_bytes(node.data)


def _all_nodes(disk: Node, live: dict[Path, Node]) -> list[Node]:
    found: dict[int, Node] = {}
    queue = [disk, *live.values()]
    while queue:
        node = queue.pop()
        if id(node) not in found:
            found[id(node)] = node
            queue += node.entries.values()
    return list(found.values())


def _enter(name: str, inner: Node) -> Callable[[Node], None]:
    return lambda node: node.entries.__setitem__(name, inner)


def _drop(name: str) -> Callable[[Node], None]:
    return lambda node: node.entries.pop(name, None) and None


def _append(data: bytes) -> Callable[[Node], None]:
    def change(node: Node) -> None:
        node.data += data

    return change


def _move(old: str, new: str, inner: Node) -> Callable[[Node], None]:
    def change(node: Node) -> None:
        node.entries.pop(old, None)
        node.entries[new] = inner

    return change
