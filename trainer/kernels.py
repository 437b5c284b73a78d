"""Which of torch's kernels a run computes with: deterministic or tuned, the precision of matrix products, the memory
format of pictures. The first two are settings of the whole process, see `kept`."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils import deterministic

DETERMINISTIC: Any = deterministic  # a module without types
BACKENDS: Any = torch.backends  # likewise
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"  # cuBLAS gives the same bits each time only with this set
COMPILER = "torch._inductor.config"


def choose(device: torch.device, *, is_deterministic: bool, is_compiled: bool, matmul: str) -> None:
    """Set what the process computes with. Call this before anything is put on the device.

    On CUDA, is_deterministic prefers kernels that give the same bits each time, an operation without one warns and
    runs; without it, cuDNN times its kernels for each new shape and takes the fastest. matmul: the precision of matrix
    products of float32, see torch.set_float32_matmul_precision.
    """
    torch.set_float32_matmul_precision(matmul)
    if device.type != "cuda":
        return
    torch.backends.cudnn.benchmark = not is_deterministic
    if not is_deterministic:
        return
    os.environ.setdefault(WORKSPACE, ":4096:8")
    torch.set_deterministic_debug_mode("warn")
    if is_compiled:  # this tells torch's compiler too, which takes seconds to import
        torch.use_deterministic_algorithms(True, warn_only=True)
    DETERMINISTIC.fill_uninitialized_memory = False  # it costs time and changes no result


@contextmanager
def kept() -> Iterator[None]:
    """Restore, at the end, all that `choose` has changed."""
    cudnn = torch.backends.cudnn
    before = torch.get_deterministic_debug_mode(), DETERMINISTIC.fill_uninitialized_memory, cudnn.benchmark
    workspace, compiler, precisions = os.environ.get(WORKSPACE), _compiler_is_deterministic(), _precisions()
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before[0])
        DETERMINISTIC.fill_uninitialized_memory, cudnn.benchmark = before[1:]
        if workspace is None:
            os.environ.pop(WORKSPACE, None)
        if _compiler_is_deterministic() != compiler:
            sys.modules[COMPILER].deterministic = compiler  # type: ignore[attr-defined]
        torch.set_float32_matmul_precision(precisions[0])
        BACKENDS.cuda.matmul.fp32_precision, BACKENDS.mkldnn.matmul.fp32_precision = precisions[1:]


def _compiler_is_deterministic() -> bool:
    """Whether torch's compiler is set to be deterministic; this does not import it."""
    return getattr(sys.modules.get(COMPILER), "deterministic", False)


def _precisions() -> tuple[str, str, str]:
    """The precision of matrix products: of the process, of CUDA's and of the CPU's."""
    each = BACKENDS.cuda.matmul.fp32_precision, BACKENDS.mkldnn.matmul.fp32_precision
    try:
        return torch.get_float32_matmul_precision(), *each
    except RuntimeError:  # a program has set one of the others alone; then torch gives no common answer
        return "highest", *each


def to_channels_last(model: nn.Module) -> None:
    """Keep the weights of 2-D convolutions, and whatever pictures (B, C, H, W) the model is called with, in memory with
    the channels of a pixel beside each other. Shapes and names stay as they are."""
    model.to(memory_format=torch.channels_last)
    model.register_forward_pre_hook(_pictures_to_channels_last, with_kwargs=True)


def _pictures_to_channels_last(
    model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The same arguments, their tensors of four axes in channels_last."""
    if len(args) == 1 and not kwargs and isinstance(args[0], Tensor):  # nearly always, and without a tree's detour
        return (_as_pictures(args[0]),), {}
    changed: tuple[tuple[Any, ...], dict[str, Any]] = pytree.tree_map_only(Tensor, _as_pictures, (args, dict(kwargs)))
    return changed


def _as_pictures(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def words(device: torch.device, channels_last: bool, is_deterministic: bool, matmul: str) -> str:
    """What is on beyond the defaults, for the header; empty where nothing is."""
    products = {"high": "TF32", "medium": "bf16"}.get(matmul, "")
    said = ["channels_last"] * channels_last
    said += [f"matmul={matmul} ({products} at best)"] * bool(products)
    said += ["cudnn.benchmark"] * (device.type == "cuda" and not is_deterministic)
    return ", ".join(said)
