"""Two processes, one result: joins with distributed training."""

from collections.abc import Iterator
from typing import Any

from trainer.chapter.example import Skipped


def show() -> Iterator[Any]:
    """Nothing yet: this release trains in one process."""
    yield "Two processes that average their gradients take one step."
    raise Skipped("joins with the distributed release")
