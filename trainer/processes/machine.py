"""The processor cores and the memory of this machine. Imports torch only for the memory of a GPU."""

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from trainer.processes import container

if TYPE_CHECKING:
    import torch

SHARE = 0.25  # of the device's memory that data may take; the rest is for the model and other programs


def num_cores() -> int:
    """The number of cores that this process may use: of its container's quota, the whole ones."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = container.cores()
    return count if quota is None else max(1, min(count, int(quota)))


def cpu_model() -> str:
    """The processor's model, as exactly as the system tells it."""
    names = ("model name", "CPU implementer", "CPU part")
    with suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        pairs = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in file)]
        if found := [value for name, value in dict(pairs).items() if name in names]:
            return " ".join(found)
    return platform.processor() or platform.machine()


def total(device: "torch.device") -> int:
    """The memory of a device in bytes; for the CPU, the machine's, or its container's limit if that is less."""
    if device.type in ("cuda", "mps"):
        import torch

        on_cuda = device.type == "cuda"
        gpu = torch.cuda.get_device_properties(device).total_memory if on_cuda else torch.mps.recommended_max_memory()
        return int(gpu)
    return memory()


def memory() -> int:
    """The memory of this machine in bytes, or its container's limit if that is less."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 2**63
    limit = container.memory()
    return machine if limit is None else min(machine, limit)


def free(device: "torch.device") -> int:
    """The bytes of a device that nothing uses now; for the CPU, of the machine, or of its container if that is less."""
    if device.type not in ("cuda", "mps"):
        return free_memory()
    import torch

    on_cuda = device.type == "cuda"
    return torch.cuda.mem_get_info(device)[0] if on_cuda else total(device) - torch.mps.driver_allocated_memory()


def free_memory() -> int:
    """The bytes of memory that nothing uses now, on this machine or in its container; all where the system does not
    tell. Files that the system only keeps for later count as free."""
    found = [memory()]
    with suppress(OSError), open("/proc/meminfo", encoding="ascii") as file:
        found += [1024 * int(line.split()[1]) for line in file if line.startswith("MemAvailable:")]
    limit = container.free_memory()
    return min(found if limit is None else [*found, limit])


def own_memory() -> int:
    """The bytes that this process shares with no other; 0 where the system does not tell."""
    with suppress(OSError), open("/proc/self/smaps_rollup", encoding="ascii") as file:
        return sum(1024 * int(line.split()[1]) for line in file if line.startswith("Private_"))
    return 0


def too_large(tensors: "Sequence[torch.Tensor]", device: "torch.device") -> str | None:
    """The reason why the device should not hold all these tensors, or None."""
    num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    too_many = num_bytes > int(SHARE * total(device))
    return f"{num_bytes / 1e9:,.1f} GB are more than a quarter of the memory" if too_many else None
