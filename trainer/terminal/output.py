"""Standard output and standard error: what is printed is written in full, or the failure is noticed.

Python's own streams lose the rest of a write that a full disk cuts short where they are not buffered, raise an error
when the reader of a pipe goes away, and are None where they were closed.
"""

import errno
import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

from trainer.errors import DISK, StorageError

CLOSED = OSError(errno.EBADF, "it is closed")


class Output(io.RawIOBase):
    """A stream that writes all it is given. After a write that fails it is over: `error` says why, the rest is dropped.

    A reader that goes away (EPIPE) has read enough. Any other failure raises StorageError, unless `work_first`: then
    the work counts more than its lines, and `exit_code` tells at the end. raw: None if the stream was closed.
    """

    def __init__(self, raw: io.RawIOBase | None, *, work_first: bool = False) -> None:
        self.raw, self.work_first = raw, work_first
        self.error: OSError | None = None
        self.told = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self.raw is None:
            raise io.UnsupportedOperation("fileno of a closed stream")
        return self.raw.fileno()

    def isatty(self) -> bool:
        return self.raw is not None and self.raw.isatty()

    def write(self, data: Any) -> int:
        """Write all of data; returns its size in bytes."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while rest and self.error is None:
                rest = rest[self._some(rest) :]
        except OSError as error:
            self.error = error
            if not self.work_first and error.errno != errno.EPIPE:
                self.told = True
                raise StorageError(f"standard output cannot be written: {error.strerror}") from error
        return size

    def _some(self, data: memoryview) -> int:
        if self.raw is None:
            raise CLOSED
        written = self.raw.write(data)
        if written is None:  # a pipe that does not block, and is full
            select.select([], [self.raw], [])
        return written or 0

    def trouble(self) -> str | None:
        """Why the stream is over, in one sentence, at the first call after that; None while it is not, and for one that
        was closed from the beginning."""
        if self.error is None or self.error is CLOSED or self.told:
            return None
        self.told = True
        if self.error.errno == errno.EPIPE:
            return "the reader of standard output has gone; the work continues"
        return f"standard output cannot be written: {self.error.strerror}; the work continues"

    def end_with(self, error: OSError | None) -> None:
        """End as the Output of another process did, which has said so."""
        if error is not None:
            self.error, self.told = error, True

    @property
    def reader_has_gone(self) -> bool:
        """Whether the stream is a pipe that nobody reads any more."""
        return self.error is not None and self.error.errno == errno.EPIPE

    @property
    def exit_code(self) -> int:
        """4 if a full disk ended the stream, else 0."""
        return StorageError.exit_code if self.error is not None and self.error.errno in DISK else 0


def of(stream: Any) -> Output:
    """The Output under a text stream; one of its own for a stream that `install` did not make."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw if isinstance(raw, Output) else Output(None)


def install(*, work_first: bool = False) -> None:
    """Write sys.stdout and sys.stderr through an Output, if they are the system's. Keeps 0, 1 and 2 from other files:
    a file opened next would get the number of a closed stream, and what a library prints."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    sys.stdout = _through_output(sys.stdout, work_first=work_first)
    sys.stderr = _through_output(sys.stderr, work_first=True)


@contextmanager
def installed() -> Iterator[None]:
    """`install` for the length of a block, whose work comes first."""
    before = sys.stdout, sys.stderr
    install(work_first=True)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = before


def _through_output(stream: TextIO | None, *, work_first: bool) -> TextIO:
    if stream is None:
        output, encoding, errors, by_line = Output(None, work_first=work_first), "utf-8", "replace", False
    else:
        buffer = getattr(stream, "buffer", None)
        raw = getattr(buffer, "raw", buffer)
        if not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.RawIOBase) or isinstance(raw, Output):
            return stream  # a notebook's or a test's, or done before
        stream.flush()
        output, encoding, errors = Output(raw, work_first=work_first), stream.encoding, stream.errors or "strict"
        by_line = stream.line_buffering or raw is buffer
    return io.TextIOWrapper(io.BufferedWriter(output), encoding, errors, line_buffering=by_line)
