"""Errors that a user can mend: each is one short message and, if there is a remedy, the thing to type."""

import errno
import os
import re
import sys

from trainer.text import first_line, labelled

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # OSErrors that mean the disk, wherever they are raised


class TrainerError(Exception):
    """The run failed: exit code 1. The parent of all the others."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(TrainerError):
    """The command, the config or the data is wrong; nothing was started. key: the dotted key at fault, if any."""

    exit_code = 2

    def __init__(self, message: str, hint: str | None = None, key: str | None = None) -> None:
        super().__init__(message, hint)
        self.key = key


class Diverged(TrainerError):
    """The loss or a weight became NaN or infinite."""

    exit_code = 3


class StorageError(TrainerError):
    """The disk is full, read-only or unreadable."""

    exit_code = 4


class Interrupted(TrainerError):
    """A signal ended the program: 130 after SIGINT, 143 after SIGTERM."""

    def __init__(self, signal: int, message: str = "stopped before training began", hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.exit_code = 128 + signal


def described(error: BaseException) -> str:
    """An exception in one line: its class, the first line of its message, and the line of the user's code, if any."""
    name, text = type(error).__name__, first_line(error)
    return (text if text == name else f"{name}: {text}") + place(error)


def place(error: BaseException) -> str:
    """' (net.py line 12)': the innermost line of an exception's traceback that is not Python's, a library's or ours."""
    import sysconfig
    import traceback

    others = ("<", *(os.path.join(path, "") for path in (*sysconfig.get_paths().values(), os.path.dirname(__file__))))
    frames = traceback.extract_tb(error.__traceback__)
    lines = [
        f" ({os.path.relpath(frame.filename)} line {frame.lineno})"
        for frame in frames
        if not frame.filename.startswith(others)
        and "-packages" not in frame.filename
        and os.path.isfile(frame.filename)
    ]
    return lines[-1] if lines else ""


def failed(error: Exception, log: str | None = None) -> TrainerError:
    """The error itself if it is a TrainerError, else a TrainerError with its first line.

    log: the path of the log that holds the traceback, if there is one.
    """
    if isinstance(error, TrainerError):
        return error
    if isinstance(error, OSError) and error.errno in DISK:  # a full disk under stdout, for one
        return StorageError(f"{error.filename or 'the output'} cannot be written: {error.strerror}")
    return TrainerError(described(error), f"the traceback is in {log}" if log else "--debug shows the traceback")


def complain(text: str) -> None:
    """Print a warning on stderr; on a terminal, in lines that break between words."""
    sys.stdout.flush()
    lines = text.splitlines()
    if sys.stderr.isatty():
        labels = [re.findall("^ *(?:[a-z]+: )?", line)[0] for line in lines]
        pairs = zip(labels, lines, strict=True)
        lines = [part for label, line in pairs for part in labelled(label, [line.removeprefix(label)])]
    print("\n".join(lines), file=sys.stderr)
