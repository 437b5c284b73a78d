"""One process among several that train one model: run/start_ranks.py starts them. Each takes its part of each batch,
so their number changes no samples."""

import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from trainer.config.schema import Config
from trainer.errors import ConfigError, TrainerError
from trainer.processes import environment
from trainer.stopping import StopReason
from trainer.text import counted

PATIENCE = 20  # seconds that a rank waits after another's death, so that the launcher notices and names that one first


class PeerLost(TrainerError):
    """Another rank has ended; the cause is in that rank's error, not here."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together. By default there is one, and every method is the identity."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # on this machine
    local_size: int = 1

    @property
    def position(self) -> tuple[int, ...]:
        """A suffix to the seed, so that ranks draw different random numbers; empty for the first rank."""
        return (self.rank,) if self.rank else ()

    def device(self, device: torch.device, name: str) -> torch.device:
        """The device of this rank. Raises ConfigError if there is none. name: the device as the config gives it."""
        if self.size == 1 or device.type == "cpu":
            return device
        if device.type != "cuda" or ":" in name:
            what = "is one device" if device.type == "cuda" else "does not support process groups"
            raise ConfigError(f"device={name} {what}, and {self.size} processes need several", "nproc=1")
        if self.local_size > torch.cuda.device_count():
            gpus = torch.cuda.device_count()
            text = f"{self.local_size} processes on this machine, which has {counted(gpus, 'GPU')}"
            raise ConfigError(text, f"nproc={gpus}")
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def part(self, batch: Tensor) -> Tensor:
        """This rank's part of a batch's indices, perhaps empty; the first ranks may have one more than the others."""
        return batch if self.size == 1 else batch.tensor_split(self.size)[self.rank]

    def parts(self, num_rows: int) -> list[int]:
        """The number of rows of a batch that each rank gets."""
        return [len(part) for part in torch.arange(num_rows).tensor_split(self.size)]

    def add(self, value: Tensor) -> Tensor:
        """The sum over the ranks, identical on each."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def mean(self, loss: Tensor) -> Tensor:
        """The loss of a step over all ranks, from the loss of each rank's part."""
        return loss if self.size == 1 else self.add(loss) / self.size

    def add_sums(self, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Sums by name, added in the order of the ranks; a name may be missing on some."""
        if self.size == 1:
            return dict(sums)
        parts = self.gather({name: value.cpu() for name, value in sums.items()})
        names = dict.fromkeys(name for part in parts for name in part)
        return {name: torch.stack([part[name] for part in parts if name in part]).sum(0) for name in names}

    def gather(self, value: Any) -> list[Any]:
        """The value of each rank, in their order, on every rank."""
        values = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values

    def agree(self, reason: StopReason | None) -> StopReason | None:
        """The reason to stop of the first rank that has one; None if no rank has."""
        if self.size == 1:
            return reason
        if not int(self.add(torch.tensor(reason is not None, dtype=torch.int32))):
            return None
        reasons: list[StopReason | None] = self.gather(reason)
        return next(filter(None, reasons))

    def tell(self, value: Any) -> Any:
        """The first rank's value, on every rank."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def share_buffers(self, *modules: nn.Module) -> None:
        """Copy the first rank's buffers to all, such as batch norm's running statistics."""
        for module in modules if self.size > 1 else ():
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)


def num_ranks(config: Config) -> int:
    """The number of processes to start here for this config; 1 in a process that is a rank already."""
    if environment.launched():
        return 1
    if config.nproc != "auto":
        return config.nproc
    return max(1, torch.cuda.device_count()) if config.device in ("auto", "cuda") else 1


def synchronised(model: nn.Module, device: torch.device, ranks: Ranks) -> nn.Module:
    """The model with batch norms over all ranks' batches; unchanged for one process. Raises ConfigError off CUDA."""
    if ranks.size == 1:
        return model
    if device.type != "cuda":
        raise ConfigError("sync_batchnorm=true: torch's SyncBatchNorm works only on CUDA", "sync_batchnorm=false")
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return converted


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the ranks that the launcher's environment names; a single one without a launcher. Raises PeerLost."""
    if environment.count() == 1:
        yield Ranks()
        return
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() and dist.is_nccl_available() else "gloo"
    try:
        dist.init_process_group(backend)
        local_rank, local_size = int(os.environ["LOCAL_RANK"]), int(os.environ["LOCAL_WORLD_SIZE"])
        yield Ranks(environment.number(), environment.count(), local_rank, local_size)
        dist.destroy_process_group()
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error) or "NCCL" in str(error):
            time.sleep(PATIENCE)
            raise PeerLost("another rank has ended") from error
        raise


class Joint(nn.Module):
    """A model and a loss with parameters or buffers, as one module for DDP. It is called like the model."""

    def __init__(self, model: nn.Module, loss_fn: nn.Module) -> None:
        super().__init__()
        self.model, self.loss_fn = model, loss_fn

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.model(*args, **kwargs)


def averaging(
    model: nn.Module, loss_of: Callable[[nn.Module], Tensor], device: torch.device
) -> DistributedDataParallel:
    """Wrap the model, so that backward averages the gradients over the ranks.

    Runs two backward passes, which leave no trace in gradients, buffers or generators. The first finds parameters that
    no gradient reaches. After the second, DDP sorts its buckets by the order of the gradients; if that happened later,
    a resumed run would add up in another order than the run that it continues.

    loss_of: the loss, 0-dim, of a batch as this rank sees them, by the model or DDP around it.
    """
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(gpus), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Grad strides do not match")  # of weights with one output: no key changes it
        loss_of(model).backward()
        unused = any(parameter.grad is None for parameter in model.parameters() if parameter.requires_grad)
        model.zero_grad()
        forward = DistributedDataParallel(model, device_ids=gpus or None, find_unused_parameters=unused)
        loss_of(forward).backward()
    model.zero_grad()
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    return forward
