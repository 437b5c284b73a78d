"""The memory and the processor time that a container may use: Linux's control groups, version 1 and 2, nested ones too.

A limit of any group above counts as well. https://docs.kernel.org/admin-guide/cgroup-v2.html and
https://docs.kernel.org/admin-guide/cgroup-v1/
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath


def memory(root: Path = Path("/")) -> int | None:
    """The smallest memory limit in bytes; None without one. root: where /proc and /sys are, for tests."""
    limits = []
    for group in _groups("memory", root):
        for name in ("memory.max", "memory.limit_in_bytes"):
            limits += [int(word) for word in _words(group / name) if word.isdigit()]
    return min(limits, default=None)


def free_memory(root: Path = Path("/")) -> int | None:
    """The smallest rest of a memory limit in bytes; None without a limit. Files that the kernel keeps for later, and
    could drop, do not count as used. root: as for memory."""
    rests = []
    for group in _groups("memory", root):
        for limit, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            numbers = [*_words(group / limit), *_words(group / used)]
            if len(numbers) == 2 and all(number.isdigit() for number in numbers):
                rests.append(int(numbers[0]) - int(numbers[1]) + _droppable(group))
    return max(0, min(rests)) if rests else None


def _droppable(group: Path) -> int:
    """The bytes of a group's files that have not been used lately, with those of the groups in it."""
    pairs = [line.split() for line in _lines(group / "memory.stat")]
    found = {name: int(number) for name, number in pairs}
    return found.get("total_inactive_file", found.get("inactive_file", 0))


def cores(root: Path = Path("/")) -> float | None:
    """The smallest share of processor time, in cores; None without a quota. root: as for memory."""
    quotas = []
    for group in _groups("cpu", root):
        together = _words(group / "cpu.max")
        pair = together or [*_words(group / "cpu.cfs_quota_us"), *_words(group / "cpu.cfs_period_us")]
        if len(pair) == 2 and all(word.isdigit() and int(word) > 0 for word in pair):  # else "max", or -1
            quotas.append(int(pair[0]) / int(pair[1]))
    return min(quotas, default=None)


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """The folders of this process's group and of those above it, as far as they are visible here."""
    paths: dict[str, PurePosixPath] = {}  # name of a controller, or "" for version 2: the group
    for line in _lines(root / "proc/self/cgroup"):
        _, names, path = line.split(":", 2)
        paths |= dict.fromkeys(names.split(","), PurePosixPath(path))
    for line in _lines(root / "proc/self/mountinfo"):
        mount, _, system = line.partition(" - ")
        kind, _, options = system.split(" ", 2)
        name = {"cgroup2": "", "cgroup": controller}.get(kind)
        if name not in paths or (name and name not in options.split(",")):
            continue
        top, place = mount.split(" ")[3:5]  # the group that is mounted, and where
        group = paths[name]
        inner = group.relative_to(top) if group.is_relative_to(top) and ".." not in group.parts else PurePosixPath()
        for folder in (inner, *inner.parents):
            yield root / place.lstrip("/") / folder


def _lines(path: Path) -> list[str]:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()
