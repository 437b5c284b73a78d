"""Starts other processes: forked from a server that has imported torch, or spawned."""

import multiprocessing
import os
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from trainer.processes import environment, scratch, signals, told


def start_method(*preload: str, is_told: bool = False) -> Any:
    """A multiprocessing context that forks a server with torch imported; it spawns where forking is unsafe.

    preload: modules that the server imports too, if it does not run yet; is_told: one of them waits for a message, see
    told.py.
    """
    if sys.platform != "linux":  # Apple's libraries do not survive a fork; Windows cannot fork
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    from multiprocessing import forkserver, resource_tracker

    context.set_forkserver_preload(["trainer.sweep.preload", *preload])
    root = str(Path(__file__).resolve().parents[2])  # the server's sys.path may find another trainer, or none
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = root if before is None else os.pathsep.join([root, before])
    scratch.for_sockets()
    try:
        with environment.safe_path(), told.waiting() if is_told else nullcontext():
            with signals.held():
                resource_tracker.ensure_running()  # unblocks some of them at its end
            with signals.held():
                forkserver.ensure_running()
    finally:
        del os.environ["PYTHONPATH"]
        if before is not None:
            os.environ["PYTHONPATH"] = before
    return context
