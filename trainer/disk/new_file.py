"""A file that can only be written, from front to back, for libraries that take an open file."""

import io
from collections.abc import Callable
from typing import Any


class NewFile(io.RawIOBase):
    """write_all: writes all of some bytes. size: bytes written so far."""

    def __init__(self, write_all: Callable[[Any], object]) -> None:
        self.write_all, self.size = write_all, 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        """Write all of data; returns its size in bytes."""
        self.write_all(data)
        num_bytes = memoryview(data).nbytes
        self.size += num_bytes
        return num_bytes

    def tell(self) -> int:
        return self.size
