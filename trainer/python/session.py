"""The Python session around a run: afterwards it is as it was, and errors are those of Python."""

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import numpy as np
import torch

from trainer import kernels
from trainer.errors import ConfigError, Interrupted, TrainerError
from trainer.processes import signals

ONE_AT_A_TIME = threading.RLock()
AWAITING = ("asyncio", "ipykernel")  # their handlers only ask a coroutine to end, which does not run meanwhile


@contextmanager
def restoring() -> Iterator[None]:
    """Within: a run may set the process's threads, seeds, kernels and treatment of denormals, and gradients are on.
    Afterwards they are as before. Another thread's run waits: all these belong to the process."""
    with ONE_AT_A_TIME, torch.enable_grad():
        yield from _restoring()


def _restoring() -> Iterator[None]:
    threads, python_state, numpy_state = torch.get_num_threads(), random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices), kernels.kept():
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            torch.set_flush_denormal(False)  # torch's default; the current value cannot be read
            random.setstate(python_state)
            np.random.set_state(numpy_state)


@contextmanager
def with_hints() -> Iterator[None]:
    """Within: an error says what to type as a note, and what stops a run is a KeyboardInterrupt."""
    try:
        yield
    except Interrupted as error:
        raise KeyboardInterrupt(f"{error.message}. Continue with: {error.hint}") from error
    except TrainerError as error:
        if error.hint:
            error.add_note(f"try: {error.hint}")
        if isinstance(error, ConfigError):  # it says what to mend; the traceback would show how the config was read
            raise error from None
        raise


@contextmanager
def finishing_step_on_ctrl_c() -> Iterator[None]:
    """Within: Ctrl-C asks the run to stop instead of raising KeyboardInterrupt. Only in the main thread, and only if
    no other code handles SIGINT, but one that waits for coroutines."""
    before = signal.getsignal(signal.SIGINT)
    module = str(getattr(getattr(before, "func", before), "__module__", "")).partition(".")[0]
    is_free = before is signal.default_int_handler or (callable(before) and module in AWAITING)
    if threading.current_thread() is not threading.main_thread() or not is_free:
        yield
        return
    signal.signal(signal.SIGINT, _ask_to_stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _ask_to_stop(number: int, frame: FrameType | None) -> None:
    if not signals.request_stop(number):
        raise KeyboardInterrupt
