"""A stand-in for CUDA graphs on the CPU: it records the operations that torch dispatches, and replays them on the same
tensors. As with a CUDA graph, nothing has been computed after a recording, each number of Python is fixed in it, and a
replay writes over the results of the last one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode


class Recorder(TorchDispatchMode):
    """Records what is dispatched within it; before: memory that was read or written, and what was in it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Any, Any, Any]] = []
        self.before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        # All that an operation is given: batch norm writes to its running statistics, and its schema does not say so.
        for tensor in (leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)):
            memory = tensor.untyped_storage()
            self.before.setdefault(memory.data_ptr(), (memory, memory.clone()))
        found = func(*args, **kwargs)
        self.calls.append((func, args, kwargs, found))
        return found


class Graph:
    """What torch.cuda.CUDAGraph is to a GPU."""

    def __init__(self, calls: list[tuple[Any, Any, Any, Any]]) -> None:
        self.calls, self.num_replays = calls, 0

    def replay(self) -> None:
        self.num_replays += 1
        with torch.no_grad():
            for func, args, kwargs, found in self.calls:
                again = func(*args, **kwargs)
                for held, new in zip(pytree.tree_leaves(found), pytree.tree_leaves(again), strict=True):
                    if isinstance(held, Tensor) and held.data_ptr() != new.data_ptr():
                        held.copy_(new)

    def pool(self) -> None:
        return None


def record(step: Callable[[], Any], pool: Any) -> tuple[Graph, Any]:
    """In the place of trainer.steps.graphed.record."""
    recorder = Recorder()
    try:
        with recorder:
            result = step()
    finally:
        for memory, before in recorder.before.values():
            memory.copy_(before)
    return Graph(recorder.calls), result
