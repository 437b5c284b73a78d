"""Record what some steps launch on a GPU, as one CUDA graph."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch

Result = TypeVar("Result")


def record(steps: Callable[[], Result], pool: Any) -> tuple[Any, Result]:
    """Record what is launched, and launch nothing. pool: the memory that graphs share of which one runs at a time, or
    None. Returns (the graph, where its replays write the result). Raises RuntimeError if it cannot be recorded."""
    graph = torch.cuda.CUDAGraph()
    # Other threads go on meanwhile: one that pins a DataLoader's memory allocates.
    with torch.cuda.graph(graph, pool=pool, capture_error_mode="thread_local"):
        result = steps()
    return graph, result
