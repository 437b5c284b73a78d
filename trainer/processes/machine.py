"""The processor cores and the memory of this machine. torch is imported only for the memory of a GPU."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

SHARE = 0.25  # of the device's memory that data may take; what is left is for the model and for whoever else is there


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def total(device: "torch.device") -> int:
    """Bytes of memory that this device has; for the CPU, the machine's, or its container's if that is less."""
    if device.type == "cuda":
        import torch

        num_bytes: int = torch.cuda.get_device_properties(device).total_memory
        return num_bytes
    if device.type == "mps":
        import torch

        return int(torch.mps.recommended_max_memory())
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**63
    return min(machine, _container())


def _container() -> int:
    """The limit of a container (cgroup v2); a very large number where there is none."""
    try:
        with open("/sys/fs/cgroup/memory.max", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 2**63


def too_large(tensors: "Sequence[torch.Tensor]", device: "torch.device") -> str | None:
    """Why tensors should not all be kept on the device, or None."""
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    limit = int(SHARE * total(device))
    if num_bytes <= limit:
        return None
    return f"{num_bytes / 1e9:,.1f} GB are over a quarter of the memory"
