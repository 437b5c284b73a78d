"""Where and how a run computes: device, threads, denormals, autocast, GradScaler, compile, generators."""

import logging
import platform
import random
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn

from trainer.errors import ConfigError

AMP_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> tuple[torch.device, str]:
    """Return the device that a config names, and why. Raises ConfigError for a missing one: it never falls back."""
    cuda, mps = _no_cuda(), _no_mps()
    if name == "auto":
        if cuda is None:
            return torch.device("cuda", 0), f"auto: {torch.cuda.get_device_name(0)}"
        if mps is None:
            return torch.device("mps"), "auto: Apple's GPU"
        return torch.device("cpu"), f"auto: {cuda}"
    kind, _, index = name.partition(":")
    reason = {"cpu": None, "cuda": cuda, "mps": mps}[kind]
    if reason is not None:
        raise ConfigError(f"device={name}: {reason}", "device=cpu")
    if kind != "cuda":
        return torch.device(kind), f"device={name}"
    number, count = int(index or 0), torch.cuda.device_count()
    if number >= count:
        there = f"there are {count} GPUs, numbered from 0" if count > 1 else "the only GPU is cuda:0"
        raise ConfigError(f"device={name}: {there}", f"device=cuda:{count - 1}")
    return torch.device("cuda", number), torch.cuda.get_device_name(number)


def _no_cuda() -> str | None:
    """The reason why there is no CUDA device; None if there is one."""
    if torch.version.cuda is None and torch.version.hip is None:
        return f"torch {torch.__version__} is built without CUDA"
    return None if torch.cuda.is_available() else "no NVIDIA GPU or driver is visible to torch"


def _no_mps() -> str | None:
    if not torch.backends.mps.is_built():
        return f"torch {torch.__version__} is built without MPS"
    return None if torch.backends.mps.is_available() else "no Apple GPU is visible to torch"


def prepare_cpu() -> None:
    """Set one thread and flush denormal numbers, before the thread pool starts: its threads inherit the setting.

    Adam's moments of dead units decay into denormals, which make a step take 1.5 times as long.
    """
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def make_autocast(device: torch.device, precision: str) -> Callable[[], AbstractContextManager[Any]]:
    """Return a function that makes the context for forward and loss. Raises ConfigError for fp16 on MPS."""
    if precision == "none":
        return nullcontext
    if device.type == "mps" and precision == "fp16":
        raise ConfigError("autocast=fp16 needs a GradScaler, which MPS does not support", "autocast=bf16")
    return partial(torch.autocast, device_type=device.type, dtype=AMP_DTYPES[precision])


def make_scaler(device: torch.device, precision: str) -> torch.amp.GradScaler:
    """Return a GradScaler for fp16, else a disabled one, which does nothing."""
    kind = "cpu" if device.type == "mps" else device.type
    return torch.amp.GradScaler(kind, enabled=precision == "fp16")


def compile_in_place(model: nn.Module, mode: str, dynamic: bool | None) -> None:
    """torch.compile the model's forward in place, so that the names in its state_dict stay the same. With dynamic=None
    the graph depends on the batch sizes seen so far, so a resumed run may give other bits."""
    quiet_compiler()
    trace_derivatives()
    model.compile(mode=None if mode == "default" else mode, dynamic=dynamic)


def trace_derivatives() -> None:
    """Let torch.compile trace torch.autograd.grad, also in a model, if this torch can."""
    if can_trace_autograd():
        torch._dynamo.config.trace_autograd_ops = True


def can_trace_autograd() -> bool:
    """Whether torch.compile can trace torch.autograd.grad: torch 2.11 and later can."""
    import torch._dynamo.config as dynamo

    return hasattr(dynamo, "trace_autograd_ops")


def quiet_compiler() -> None:
    """Silence two messages of torch.compile: that CUDA is missing, and the advice to use TF32, which `bench` tries."""
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", "TensorFloat32 tensor cores")


def environment(device: torch.device) -> dict[str, Any]:
    """What must be equal for equal bits: versions, the processor, threads, the device."""
    name = f" {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
    return {
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "device": f"{device}{name}",
    }


def forget_graphs() -> None:
    """Drop what torch.compile has compiled, where it has been used: parameters train that were frozen in its graphs."""
    if "torch._dynamo" in sys.modules:
        torch._dynamo.reset()


def dtype_name(dtype: torch.dtype) -> str:
    """A dtype as it is typed: float32."""
    return str(dtype).removeprefix("torch.")


def widest_dtype(device: torch.device) -> torch.dtype:
    """The dtype to add up in: float64, or float32 on MPS, which does not support float64."""
    return torch.float32 if device.type == "mps" else torch.float64


def seed_all(seed: int) -> None:
    """Seed every global generator that the constructor of a model or Dataset may draw from."""
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed % 2**32)


def generator_state(device: torch.device) -> torch.Tensor:
    """The state of the generator that a step on this device draws from. No GPU is waited for."""
    return torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()


def seed_generator(device: torch.device, seed: int) -> None:
    """Seed the generators that a step on this device draws from; torch.manual_seed takes a hundred times as long."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def synchronize(device: torch.device) -> None:
    """Wait until the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
