"""Limits of containers, read from made-up /proc and /sys/fs/cgroup trees: version 1, version 2, both, nested."""

from pathlib import Path

import pytest

from trainer.processes import container, machine
from trainer.sweep import pool
from trainer.sweep.job import Place

pytestmark = pytest.mark.no_torch

V2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
V1 = """\
31 23 0:28 / /sys/fs/cgroup ro,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 {top} /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:30 {top} /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory
34 31 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"""
NO_LIMIT = "9223372036854771712"  # version 1 has no word for it
LONG = "cpu.cfs_quota_us", "cpu.cfs_period_us"

# What /proc/self/cgroup and /proc/self/mountinfo say, the files below /sys/fs/cgroup, bytes and cores by hand.
TREES = {
    "no groups": ("", "", {}, None, None),
    "a container with a namespace of its own": (
        "0::/", V2, {"memory.max": "4000", "cpu.max": "250000 100000"}, 4000, 2.5,
    ),
    "no limit": ("0::/", V2, {"memory.max": "max", "cpu.max": "max 100000"}, None, None),
    "a limit above": (
        "0::/user.slice/job.scope/inner", V2,
        {
            "user.slice/memory.max": "900", "user.slice/cpu.max": "max 100000",
            "user.slice/job.scope/memory.max": "500", "user.slice/job.scope/cpu.max": "300000 100000",
            "user.slice/job.scope/inner/memory.max": "max", "user.slice/job.scope/inner/cpu.max": "80000 20000",
        },
        500, 3.0,
    ),
    "the group of another container": (
        "0::/../other", V2, {"memory.max": "70", "cpu.max": "50000 100000", "other/memory.max": "1"}, 70, 0.5,
    ),
    "version 1": (
        "12:memory:/batch/7\n4:cpu,cpuacct:/batch/7\n1:name=systemd:/x\n0::/", V1.format(top="/"),
        {
            "memory/memory.limit_in_bytes": NO_LIMIT, "memory/batch/memory.limit_in_bytes": NO_LIMIT,
            "memory/batch/7/memory.limit_in_bytes": "600",
            "cpu,cpuacct/batch/cpu.cfs_quota_us": "200000", "cpu,cpuacct/batch/cpu.cfs_period_us": "100000",
            "cpu,cpuacct/batch/7/cpu.cfs_quota_us": "-1", "cpu,cpuacct/batch/7/cpu.cfs_period_us": "100000",
        },
        600, 2.0,
    ),
    "version 1, whose mount begins at the container": (
        "12:memory:/docker/abc/nested\n4:cpu,cpuacct:/docker/abc", V1.format(top="/docker/abc"),
        {
            "memory/memory.limit_in_bytes": "800", "memory/nested/memory.limit_in_bytes": "300",
            "cpu,cpuacct/cpu.cfs_quota_us": "150000", "cpu,cpuacct/cpu.cfs_period_us": "50000",
        },
        300, 3.0,
    ),
    "both versions": (
        "4:memory:/a\n0::/b", V1.format(top="/"),
        {"memory/a/memory.limit_in_bytes": "50", "unified/b/cpu.max": "100000 100000", "unified/b/memory.max": "40"},
        40, 1.0,
    ),
}  # fmt: skip


def made(root: Path, tree: str) -> Path:
    groups, mounts, files, *_ = TREES[tree]
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups + "\n" if groups else "")
    (root / "proc/self/mountinfo").write_text(mounts + "\n" if mounts else "")
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return root


@pytest.mark.parametrize("tree", TREES)
def test_the_smallest_limit_counts(tree: str, tmp_path: Path) -> None:
    root = made(tmp_path, tree)
    assert (container.memory(root), container.cores(root)) == TREES[tree][3:]


USED = {  # the group's files beside a limit of 1,000 bytes, what is left by hand
    "version 2": ("memory/memory.max", {"memory.current": "700", "memory.stat": "anon 100\ninactive_file 50"}, 350),
    "version 1": (
        "memory/memory.limit_in_bytes",
        {"memory.usage_in_bytes": "900", "memory.stat": "inactive_file 5\ntotal_inactive_file 60"}, 160,
    ),
    "over the limit": ("memory/memory.max", {"memory.current": "1200"}, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", USED)
def test_what_is_left_of_a_limit(name: str, tmp_path: Path) -> None:
    limit, files, left = USED[name]
    root = made(tmp_path, "version 1")
    for path, text in {Path(limit).name: "1000", **files}.items():
        (root / "sys/fs/cgroup/memory" / path).write_text(text + "\n")
    assert container.free_memory(root) == left


def test_without_linux_there_is_no_limit(tmp_path: Path) -> None:
    assert (container.memory(tmp_path), container.cores(tmp_path)) == (None, None)
    assert container.free_memory(tmp_path) is None


@pytest.mark.parametrize(("quota", "cores"), [(None, 8), (0.5, 1), (2.5, 2), (64.0, 8)])
def test_threads_and_jobs_fit_the_quota(quota: float | None, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda process: set(range(8)), raising=False)
    monkeypatch.setattr(container, "cores", lambda: quota)
    assert machine.num_cores() == cores
    assert pool.places("auto", "auto", "cpu", "cpu", 0, 99) == [Place(1, num_jobs=cores)] * cores


def test_as_many_jobs_as_fit_into_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes 100 MB before its first step, and as much again for training."""
    monkeypatch.setattr(pool, "num_cores", lambda: 8)
    for limit, num_jobs in ((10**9, 5), (10**10, 8), (10**8, 1)):
        monkeypatch.setattr(container, "memory", lambda limit=limit: limit)
        places = pool.places("auto", "auto", "cpu", "cpu", 0, 99, 1, 10**8)
        assert places == [Place(8 // num_jobs, num_jobs=num_jobs)] * num_jobs
        assert len(pool.places(3, "auto", "cpu", "cpu", 0, 99, 1, 10**8)) == 3  # as typed
