"""Where no signal comes at the death of a parent, the end of a pipe says it."""

import os
from multiprocessing import Pipe

import pytest

from trainer.sweep import parent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_the_end_of_the_lifeline_ends_the_process() -> None:
    reading, writing = Pipe(duplex=False)
    pid = os.fork()
    if pid == 0:
        writing.close()
        parent.watch(reading)
        os._exit(0)
    reading.close()
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    writing.close()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
