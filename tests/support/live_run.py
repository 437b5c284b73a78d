"""The real command line in a process that a test watches and signals."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def start(folder: Path, *words: str, under: Sequence[str] = (), stdout: int = subprocess.DEVNULL) -> subprocess.Popen:
    """under: the words before the command, such as nohup."""
    folder.mkdir(exist_ok=True)
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests/support")])
    environment = {**os.environ, "PYTHONPATH": path, "XDG_CONFIG_HOME": str(folder / ".config")}
    command = [*under, sys.executable, "-m", "trainer", *words]
    pipes = {"stdout": stdout, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, start_new_session=True, **pipes)


def wait_for(folder: Path, pattern: str, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not list(folder.glob(pattern)):
        assert time.monotonic() < end, f"{pattern} never came"
        time.sleep(0.02)


def until(condition: Callable[[], object], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)


def metrics(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("outputs/2*/*/metrics.jsonl"))


def wait_for_lines(folder: Path, more: int = 1) -> None:
    wait_for(folder, "outputs/2*/*/metrics.jsonl")
    before, end = metrics(folder), time.monotonic() + 60
    while metrics(folder) < before + more:
        assert time.monotonic() < end, "no line was written"
        time.sleep(0.01)


def children(pid: int) -> set[int]:
    """Processes below a process, as Linux lists them."""
    found: set[int] = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found |= {int(path.parent.name)} | children(int(path.parent.name))
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that still run; a zombie does not."""
    running = set()
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        running |= {pid} if state != "Z" else set()
    return running
