"""SIGINT and SIGTERM: before there is a run they end the program at once; a run finishes its step and saves.

While nothing is done that a run must keep (waiting for data, evaluating), it need not be finished either: there a
signal raises Stop.
"""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType

# How trainer passes a signal on to the ranks of a run: torch's launcher ends them by SIGTERM.
PASSED_ON: dict[int, int] = {signal.SIGINT: signal.SIGINT}
if hasattr(signal, "SIGUSR1"):
    PASSED_ON |= {signal.SIGTERM: signal.SIGUSR2, signal.SIGUSR1: signal.SIGUSR1}

_listening = False
_abandonable = False
_may_abandon = True
_wish: int | None = None
_save = False
_owner = 0


class Stop(BaseException):
    """A wish to stop, where work may be abandoned. No `except Exception` on the way may hold it up."""


def install() -> None:
    """Take over SIGINT, SIGTERM and SIGUSR1. Call it before anything heavy is imported."""
    global _owner
    _owner = os.getpid()
    signal.signal(signal.SIGINT, _handle)
    signal.signal(signal.SIGTERM, _handle)
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, _handle)


def install_in_rank() -> None:
    """In a process that trainer's launcher watches: a wish to stop comes from trainer, as PASSED_ON says, and the
    launcher's SIGTERM is the end."""
    install()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(PASSED_ON[signal.SIGTERM], _handle)


@contextmanager
def listening(*, may_abandon: bool = True) -> Iterator[None]:
    """Within: the first signal is only noted, see `wish`; a second one ends the process at once.

    may_abandon: false where other processes wait for what would be abandoned.
    """
    global _listening, _wish, _save, _may_abandon
    _listening, _wish, _save, _may_abandon = True, None, False, may_abandon
    try:
        yield
    finally:
        _listening, _may_abandon = False, True


def wish() -> int | None:
    """The number of the signal that asked this run to stop, or None."""
    return _wish


def hear(number: int) -> bool:
    """Note a wish to stop. False where there is no run that could heed it, or it has one already."""
    global _wish
    if not _listening or _wish is not None:
        return False
    _wish = number
    if _abandonable:
        raise Stop
    return True


def save_wanted() -> bool:
    """Whether SIGUSR1 has asked for a checkpoint since the last time this was asked."""
    global _save
    wanted, _save = _save, False
    return wanted


class Abandonable:
    """A context: in it, a wish to stop is heard at once, as Stop; also one that is there on entering."""

    def __enter__(self) -> None:
        global _abandonable
        _abandonable = _may_abandon
        if _may_abandon and _listening and _wish is not None:
            _abandonable = False
            raise Stop

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        global _abandonable
        _abandonable = False


abandonable = Abandonable()


def _handle(number: int, frame: FrameType | None) -> None:
    global _save
    if os.getpid() != _owner:  # a forked child: its run decides
        return
    if hasattr(signal, "SIGUSR1") and number == signal.SIGUSR1:
        _save = True
    elif not hear(_meant(number)):
        _leave(_meant(number))


def _meant(number: int) -> int:
    """The signal that the user sent, where another one passed it on."""
    return next((sent for sent, passed in PASSED_ON.items() if passed == number), number)


def _leave(number: int) -> None:
    """End now. No exception: an `except` in a library that is being imported could swallow it."""
    name = signal.Signals(number).name
    when = "at once; the last checkpoint counts" if _wish is not None else "before training began; nothing was saved"
    with suppress(OSError, ValueError, RuntimeError):
        sys.stdout.flush()
    os.write(2, f"\nerror: stopped by {name} {when}\n".encode())
    os._exit(128 + number)


def reason(code: int) -> str:
    """What an exit code says of a process that could not say it itself."""
    if code >= 0:
        return f"its process ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    memory = "; perhaps memory ran out" if name == "SIGKILL" else ""
    return f"its process was killed by {name}{memory}"
