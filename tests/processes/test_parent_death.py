"""No process outlives its parent: by the signal that comes at its death, or by the end of a pipe."""

import os
import select
import signal
import sys
import time
from multiprocessing import Pipe

import pytest

from trainer.data.workers import begin_worker
from trainer.processes import parent_death


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_the_end_of_the_lifeline_ends_the_process() -> None:
    reading, writing = Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        writing.close()
        parent_death.watch(reading)
        os._exit(0)
    reading.close()
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    writing.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="the signal is Linux's")
@pytest.mark.parametrize("early", [True, False])
def test_a_worker_ends_with_its_run(early: bool) -> None:
    """Killed before the worker asks for the signal, or after: the pipe that the worker alone holds comes to its end."""
    reading, writing = os.pipe()
    run = os.fork()
    if run == 0:
        begun, begin = os.pipe()
        if os.fork() == 0:
            number = os.getppid()
            while early and os.getppid() == number:
                time.sleep(0.001)
            begin_worker(number, 0)
            os.write(begin, b"1")
            time.sleep(60)
            os._exit(0)
        if not early:
            os.read(begun, 1)
        os.kill(os.getpid(), signal.SIGKILL)
    os.close(writing)
    os.waitpid(run, 0)
    assert select.select([reading], [], [], 20)[0]
    os.close(reading)
