"""Make items one ahead, in a thread: pyarrow parses a block while the one before is converted."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
END: Any = object()


def read_ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, and errors, in the same order. A thread makes each while the one before is used; it ends with
    this iterator. Not for what may have to be waited for, such as a pipe: nothing interrupts the thread."""
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(next, items, END)
        while (item := coming.result()) is not END:
            coming = thread.submit(next, items, END)
            yield item
