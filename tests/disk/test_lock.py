"""One writer a run: the second is refused, a dead one never blocks."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from trials import FORKS

from trainer.disk import layout
from trainer.disk.lock import only_writer
from trainer.errors import ConfigError

HOLD = "import sys, time, pathlib, trainer.disk.lock as l\nwith l.only_writer(pathlib.Path(sys.argv[1])):\n {}\n"


def holder(folder: Path, then: str) -> subprocess.Popen:
    """A process that holds the lock and then does something; returns when it holds it."""
    words = [sys.executable, "-c", HOLD.format(then), str(folder)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[2], text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "held\n"
    return process


def test_20_second_writers_are_refused_and_the_dead_do_not_block(tmp_path: Path) -> None:
    process = holder(tmp_path, "print('held', flush=True); time.sleep(600)")
    refused = 0
    for _ in range(20):
        with pytest.raises(ConfigError, match=rf"process {process.pid} on \S+"), only_writer(tmp_path):
            pass
        refused += 1
    assert refused == 20
    process.send_signal(signal.SIGKILL)
    process.wait()
    with only_writer(tmp_path):
        pass


def test_a_forked_child_of_a_dead_run_does_not_block(tmp_path: Path) -> None:
    process = holder(tmp_path, "import os; pid = os.fork(); pid or print('held', flush=True); time.sleep(3)")
    process.send_signal(signal.SIGKILL)
    process.wait()
    with only_writer(tmp_path):
        pass


def _create(folder: str, at: float) -> None:
    time.sleep(max(0.0, at - time.time()))
    layout.create(folder, "digits-mlp")


@pytest.mark.slow
def test_50_starts_at_once_make_50_folders(tmp_path: Path) -> None:
    at = time.time() + 3
    processes = [FORKS.Process(target=_create, args=(str(tmp_path / "out"), at)) for _ in range(50)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 50
    assert len(list((tmp_path / "out").glob("2*/*"))) == 50
