"""No job, rank or worker outlives its parent process, however that one ends, kill -9 included."""

import ctypes
import os
import signal
import sys
import threading
from multiprocessing.connection import Connection

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def die_with_it(lifeline: Connection | None = None) -> None:
    """End this process when its parent ends.

    Linux kills it with a signal, along the chain sweep, fork server, job; elsewhere a thread waits on the lifeline.
    lifeline: the reading end of a pipe whose writing end the sweep keeps.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if lifeline is not None and lifeline.poll():  # the parent ended before the prctl
            os._exit(1)
    elif lifeline is not None:
        threading.Thread(target=watch, args=(lifeline,), daemon=True).start()


def watch(lifeline: Connection) -> None:
    """Wait until the lifeline closes, then end this process."""
    try:
        lifeline.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)
