"""SIGINT, SIGTERM and SIGHUP: before a run begins they end the program at once; a run finishes its step and saves.

A signal that is ignored when the program starts stays ignored: SIGHUP under nohup, SIGINT behind & in a script. Work
that a run need not keep (waiting for data, evaluating) is not finished: there a signal raises Stop.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType

# How trainer passes each signal on to the ranks. SIGTERM is taken: with it torch's launcher ends them.
PASSED_ON: dict[int, int] = {signal.SIGINT: signal.SIGINT}
if hasattr(signal, "SIGUSR1"):
    PASSED_ON |= {signal.SIGTERM: signal.SIGUSR2, signal.SIGUSR1: signal.SIGUSR1, signal.SIGHUP: signal.SIGHUP}
STOPPING = {signal.SIGINT, signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}  # ask a run to stop
INTERRUPTED = tuple(128 + number for number in sorted(STOPPING))  # exit codes after them

_listening, _abandonable, _may_abandon, _is_child = False, False, True, False
_stop_signal: int | None = None
_save_requested = False
_owner = 0


class Stop(BaseException):
    """A request to stop, raised where work may be abandoned. It passes through every `except Exception`."""


def install() -> None:
    """Take over the signals that stop a run and SIGUSR1. Call it before anything heavy is imported."""
    global _owner
    _owner = os.getpid()
    for number in STOPPING | PASSED_ON.keys():
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _handle)


def install_in_child(*, own_session: bool = True) -> None:
    """Take over the signals in a job, a rank or another process that trainer started: in a session of its own, where
    only its parent sends them. A second one changes nothing, since the parent ends its children with itself."""
    global _owner, _is_child
    _owner, _is_child = os.getpid(), True
    if own_session and hasattr(os, "setsid"):
        os.setsid()
    for number in STOPPING | PASSED_ON.keys():
        signal.signal(number, _handle)


def release() -> None:
    """Let signals through that were held when this process was started."""
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def install_in_rank(peers: Callable[[], Iterable[int]]) -> None:
    """Take over the signals in a rank, as PASSED_ON says. peers: gives the processes of the ranks that have started.

    SIGTERM ends the process once a peer has ended, since torch's launcher sends it then. Before that it asks the run to
    stop, as Slurm does by sending it to every process of a job.
    """
    install_in_child()
    signal.signal(PASSED_ON[signal.SIGTERM], _handle)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    # Python writes the number here even while the main thread waits for other ranks, where no handler runs.
    received, wakeup = os.pipe()
    os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=partial(signal.set_wakeup_fd, -1))
    threading.Thread(target=_end_or_stop, args=(received, peers), daemon=True).start()


def _end_or_stop(received: int, peers: Callable[[], Iterable[int]]) -> None:
    """Act on each SIGTERM of a rank; received: what set_wakeup_fd writes to."""
    while True:
        if signal.SIGTERM not in os.read(received, 64):
            continue
        try:
            for process in peers():
                os.kill(process, 0)
        except ProcessLookupError:
            os._exit(128 + signal.SIGTERM)
        os.kill(os.getpid(), PASSED_ON[signal.SIGTERM])


@contextmanager
def held() -> Iterator[None]:
    """Start processes within this block with these signals blocked: a fork server always, since it ends with its
    parent; a job or a rank until it can handle them, see `release`."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def send(process: int, number: int) -> None:
    """Send a signal to a child that may have ended already."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


@contextmanager
def listening(*, may_abandon: bool = True) -> Iterator[None]:
    """Within this block the first signal is only noted, see `stop_requested`; a second one ends the process at once.

    may_abandon: false if other processes wait for the work that would be abandoned. A block within another one goes on
    listening.
    """
    global _listening, _stop_signal, _save_requested, _may_abandon
    before = _listening, _may_abandon
    if not _listening:
        _listening, _stop_signal, _save_requested = True, None, False
    _may_abandon = may_abandon
    try:
        yield
    finally:
        _listening, _may_abandon = before


def stop_requested() -> int | None:
    """The number of the signal that asked this run to stop, or None."""
    return _stop_signal


def request_stop(number: int) -> bool:
    """Ask the run to stop, as a signal does; raises Stop where work may be abandoned. False if no run can be asked."""
    global _stop_signal
    if not _listening or _stop_signal is not None:
        return False
    _stop_signal = number
    if _abandonable:
        raise Stop
    return True


def save_requested() -> bool:
    """Whether SIGUSR1 has asked for a checkpoint since the last call."""
    global _save_requested
    requested, _save_requested = _save_requested, False
    return requested


class Abandonable:
    """A block in which a request to stop raises Stop at once, also a request that came before."""

    def __enter__(self) -> None:
        global _abandonable
        _abandonable = _may_abandon
        if _may_abandon and _listening and _stop_signal is not None:
            _abandonable = False
            raise Stop

    def __exit__(self, *error: object) -> None:
        global _abandonable
        _abandonable = False


abandonable = Abandonable()


def _handle(number: int, frame: FrameType | None) -> None:
    global _save_requested
    if os.getpid() != _owner:  # a forked child: its run decides
        return
    sent = next((sent for sent, passed in PASSED_ON.items() if passed == number), number)
    if hasattr(signal, "SIGUSR1") and number == signal.SIGUSR1:
        _save_requested = True
    elif not request_stop(sent) and not _is_repetition(sent):
        _exit(sent)


def _is_repetition(number: int) -> bool:
    """Whether a further signal asks for nothing new: a terminal that closes sends SIGHUP two or three times."""
    return _stop_signal is not None and (_is_child or signal.Signals(number).name == "SIGHUP")


def _exit(number: int) -> None:
    """End now. Raises no exception: an `except` in a library that is being imported could swallow it."""
    name = signal.Signals(number).name
    when = " at once; the last checkpoint counts" if _stop_signal is not None else "; there was nothing to save"
    with suppress(OSError, ValueError, RuntimeError):
        sys.stdout.flush()
    if not _is_child:  # its parent says so
        with suppress(OSError):  # a terminal that is closed
            os.write(2, f"\nerror: stopped by {name}{when}\n".encode())
    os._exit(128 + number)


def is_kill(code: int) -> bool:
    """Whether a process with this exit code was ended by a signal that others send, not by a fault of its own."""
    return -code in {getattr(signal, name, 0) for name in ("SIGHUP", "SIGINT", "SIGKILL", "SIGTERM")} - {0}


def exit_reason(code: int) -> str:
    """Why a process ended, by its exit code; for a process that could not say it itself."""
    if code >= 0:
        return f"its process ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    memory = "; perhaps memory ran out" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{memory}"
