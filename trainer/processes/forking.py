"""Starts other processes: forked from a server that has imported torch, or spawned."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trainer.processes import environment


def start_method(*preload: str) -> Any:
    """A multiprocessing context that forks a server with torch imported; it spawns where forking is unsafe.

    preload: modules that the server imports too, if it does not run yet.
    """
    if sys.platform != "linux":  # Apple's libraries do not survive a fork; Windows cannot fork
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    from multiprocessing import forkserver

    context.set_forkserver_preload(["trainer.sweep.preload", *preload])
    root = str(Path(__file__).resolve().parents[2])  # the server's sys.path may find another trainer, or none
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = root if before is None else os.pathsep.join([root, before])
    try:
        with no_interrupt(), environment.safe_path():
            forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return context


@contextmanager
def no_interrupt() -> Iterator[None]:
    """Start processes within this block with SIGINT blocked, until they can handle it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
