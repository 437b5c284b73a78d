"""The steps in a file of W&B's, run-ID.wandb: records of protocol buffers in the format of LevelDB's log, in blocks of
32 KiB, after a header of seven bytes. https://github.com/google/leveldb/blob/main/doc/log_format.md"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEADER, BLOCK = 7, 2**15  # bytes: before each part of a record, and of the file; of a block
FULL, FIRST, LAST = 1, 2, 4  # kinds of a part


def last_step(path: Path) -> int:
    """The last step in a file; -1 if there is none. A killed process may leave its end out."""
    steps = (record.history.step.num for record in _records(path.read_bytes()) if record.HasField("history"))
    return max(steps, default=-1)


def _records(data: bytes) -> Iterator[Any]:
    from wandb.proto import wandb_internal_pb2

    for content in _contents(data):
        record = wandb_internal_pb2.Record()  # type: ignore[attr-defined]
        record.ParseFromString(content)
        yield record


def _contents(data: bytes) -> Iterator[bytes]:
    """The complete records of a file, each put together from its parts."""
    place, content = HEADER, b""
    while place + HEADER <= len(data):
        if BLOCK - place % BLOCK < HEADER:  # the rest of a block is padding
            place += BLOCK - place % BLOCK
            continue
        size, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        part = data[place + HEADER : place + HEADER + size]
        if not FULL <= kind <= LAST or len(part) < size:
            return
        place += HEADER + size
        content = part if kind in (FULL, FIRST) else content + part
        if kind in (FULL, LAST):
            yield content
