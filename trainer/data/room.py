"""What one process may take of this machine for its data: memory to keep it in, cores to decode it with."""

import sys
from dataclasses import dataclass, field

import torch

from trainer.processes import machine
from trainer.processes.machine import SHARE, num_cores

MOST_WORKERS = 8
WORTH_WORKERS = 32 * 2**20  # bytes of picture files; decoding fewer takes about as long as starting workers


@dataclass(frozen=True)
class Room:
    """cores: that this process may use. processes: how many share the memory of the CPU, each with as much data."""

    cores: int = field(default_factory=num_cores)
    processes: int = 1

    def too_large(self, num_bytes: int, device: torch.device) -> str | None:
        """The reason why this many bytes should not be kept on a device, or None."""
        sharers = self.processes if device.type == "cpu" else 1
        too_many = num_bytes > SHARE * machine.free(device) / sharers
        return f"{num_bytes / 1e9:,.1f} GB are more than a quarter of the free memory" if too_many else None

    def num_workers(self, num_bytes: int) -> int:
        """The number of processes that decode picture files of so many bytes; one core is left to the training. 0 where
        a worker is not a fork: it would import torch and the program that started the training again."""
        is_worth = num_bytes >= WORTH_WORKERS and sys.platform == "linux"
        return min(MOST_WORKERS, self.cores - 1) if is_worth else 0
