"""A command in this process, its output in a real pipe or a real terminal."""

import os
import pty
import sys
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager

from trainer.cli import main

SIZE = (24, 80)


def said(words: list[str], *, terminal: bool) -> tuple[int, str]:
    """(exit code, all that a command writes to stdout and stderr)."""
    reading, writing = pty.openpty() if terminal else os.pipe()
    if terminal:
        tty.setraw(writing)  # what is written comes out as it is
    parts: list[bytes] = []
    reader = threading.Thread(target=_drain, args=(reading, parts))
    reader.start()
    try:
        with _outputs(writing):
            code = main(words)
    finally:
        os.close(writing)
        reader.join()
        os.close(reading)
    return code, b"".join(parts).decode()


@contextmanager
def _outputs(handle: int) -> Iterator[None]:
    """Within: stdout and stderr, with their descriptors, go to `handle`."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    streams = sys.stdout, sys.stderr
    for number in (1, 2):
        os.dup2(handle, number)
    sys.stdout, sys.stderr = (open(n, "w", encoding="utf-8", closefd=False, buffering=1) for n in (1, 2))  # noqa: SIM115
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.stdout, sys.stderr = streams
        for number, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, number)
            os.close(copy)


def _drain(handle: int, parts: list[bytes]) -> None:
    while True:
        try:
            data = os.read(handle, 65536)
        except OSError:  # a terminal whose other end is closed
            return
        if not data:
            return
        parts.append(data)
