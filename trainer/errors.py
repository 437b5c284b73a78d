"""Errors that a user can mend: each is one short message and, if there is a remedy, the thing to type."""

import errno
import os
import re
import shlex
import sys
import traceback

from trainer.text import cleaned, cleaned_lines, first_line, labelled

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)  # OSErrors that mean the disk, wherever they are raised

WORKER = "DataLoader worker"  # how torch, wherever the run is just then, says that one of its workers was killed
NO_MEMORY = ("failed to map segment", "cannot allocate memory")  # a library that cannot be loaded, a failed fork


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


class InUse(ConfigError):
    """Another process writes to this folder."""


class BadRow(TrainerError):
    """A row that was read in training cannot be used. The run ends before the step that needs it, and saves."""


class ListenerFailed(TrainerError):
    """A listener of the user's own raised an exception. The run ends after this step, and saves."""


class Diverged(TrainerError):
    """The loss or a weight became NaN or infinite."""

    exit_code = 3


class Killed(TrainerError):
    """A signal from outside ended a process of the run: it continues from its newest checkpoint."""


class StorageError(TrainerError):
    """The disk is full, read-only or unreadable."""

    exit_code = 4


class Interrupted(TrainerError):
    """A signal ended the program: 129 after SIGHUP, 130 after SIGINT, 143 after SIGTERM."""

    def __init__(self, signal: int, message: str = "stopped before training began", hint: str | None = None) -> None:
        super().__init__(message, hint)
        self.exit_code = 128 + signal


def described(error: BaseException) -> str:
    """An exception in one line: its class, the first line of its message, and the line of the user's code, if any."""
    name, text = type(error).__name__, first_line(error)
    return (text if text == name else f"{name}: {text}") + place(error)


def advised(text: str, group: str) -> tuple[str, str | None]:
    """(What is wrong, what to type) of what a class says of its settings: 'depth=9 is not 6n + 2; try depth=8'. group:
    what comes before its settings, such as model."""
    found = re.fullmatch(r"(.+); try (\w+=\S+)", text)
    return (text, None) if found is None else (found[1], shlex.quote(f"{group}.{found[2]}"))


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
    if isinstance(error, RuntimeError) and str(error).startswith(WORKER):
        return Killed(first_line(error).rstrip(". "))
    if isinstance(error, ImportError | OSError) and any(words in str(error).lower() for words in NO_MEMORY):
        return TrainerError(f"there is not enough memory to start: {first_line(error)}", "ulimit -v unlimited")
    return TrainerError(described(error), f"the traceback is in {log}" if log else "--debug shows the traceback")


def complain(text: str) -> None:
    """Print a warning on stderr, in one line; on a terminal, in lines that break between words."""
    sys.stdout.flush()
    lines = [cleaned(text)]
    if sys.stderr.isatty():
        label = re.findall("^ *(?:[a-z]+: )?", lines[0])[0]
        lines = labelled(label, [lines[0].removeprefix(label)])
    print("\n".join(lines), file=sys.stderr)


def show_traceback() -> None:
    """Print the traceback of the exception that is being handled on stderr."""
    print(cleaned_lines(traceback.format_exc()), file=sys.stderr)
