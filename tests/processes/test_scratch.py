"""Temporary folders go with the process that made them, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from live_run import ROOT, until

pytestmark = [pytest.mark.no_torch, pytest.mark.skipif(os.name != "posix", reason="uses the shell")]

PROGRAM = """
import os, sys, time
from trainer.processes import scratch, signals
signals.install()
scratch.for_sockets()
with scratch.folder("trainer-try-") as folder:
    (folder / "deep").mkdir()
    (folder / "deep/file").write_text("x")
    print(flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [None, signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_nothing_is_left(number: int | None, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stdin=-1, stdout=-1, stderr=subprocess.DEVNULL
    )
    process.stdout.readline()
    assert sorted(path.name[:5] for path in tmp_path.iterdir()) == ["pymp-", "train"]
    if number is not None:
        process.send_signal(number)
    process.communicate()
    assert process.returncode == {None: 0, signal.SIGKILL: -9}.get(number, 128 + (number or 0))
    until(lambda: not list(tmp_path.iterdir()))
