"""One message to the fork server while it starts, through a named pipe: it is started before the message is known."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import util
from pathlib import Path
from typing import Any

PIPE = "TRAINER_FORK_SERVER_PIPE"  # the path of the pipe, for the server, which removes it once it has read
MOST = 60_000  # bytes, which usually fit into a pipe before anybody reads

_end: int | None = None  # of the pipe, open until this process ends: the server may not have opened its own yet
_is_sent = (
    False  # whether the message lies in this pipe: there is one for each server, and a second would fill the pipe
)


@contextmanager
def waiting() -> Iterator[None]:
    """A server that is started within this block may wait for the message, see `receive`."""
    global _end, _is_sent
    path = Path(util.get_temp_dir()) / "told"
    if not path.exists():
        if _end is not None:
            os.close(_end)
        os.mkfifo(path, 0o600)
        _end = os.open(path, os.O_RDWR)  # both, since the other end is not there yet
        _is_sent = False
    os.environ[PIPE] = str(path)
    try:
        yield
    finally:
        del os.environ[PIPE]


def send(message: Any) -> None:
    """Send the message, plain data, if none was sent; None instead of one that is too long. Nothing may be forked
    before."""
    global _is_sent
    line = json.dumps(message).encode() + b"\n"
    if _end is not None and not _is_sent:
        os.write(_end, line if len(line) <= MOST else b"null\n")
        _is_sent = True


def receive() -> Any:
    """In the server: wait for the message. None where nobody sends one."""
    path = os.environ.pop(PIPE, None)
    if path is None:
        return None
    with open(path, "rb") as pipe:
        line = pipe.readline()
    Path(path).unlink(missing_ok=True)
    return json.loads(line)
