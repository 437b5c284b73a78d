"""Several processes that train one model: they meet, average, agree and leave. The rest of trainer knows no ranks.

Every rank takes its part of each batch, so that the samples of a step do not depend on how many there are.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
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

PATIENCE = 20  # seconds that a rank waits after another's death, so that the launcher meets and names that one first


class PeerLost(TrainerError):
    """Another rank is gone; what it died of is that one's to say."""


@dataclass(frozen=True)
class Ranks:
    """This process among those that train together; on its own by default, and then every method is the identity."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0  # on this machine
    local_size: int = 1

    @property
    def position(self) -> tuple[int, ...]:
        """What tells this rank's random numbers from another's; nothing for the first, which draws as one process."""
        return (self.rank,) if self.rank else ()

    def device(self, device: torch.device, name: str) -> torch.device:
        """The device of this rank. Raises ConfigError where there is none for it. name: as the config has it."""
        if self.size == 1 or device.type == "cpu":
            return device
        if device.type != "cuda" or ":" in name:
            what = "is one device" if device.type == "cuda" else "has no process groups"
            raise ConfigError(f"device={name} {what}, and {self.size} processes need several", "device=cpu, or nproc=1")
        if self.local_size > torch.cuda.device_count():
            there = torch.cuda.device_count()
            gpus = f"{there} GPU{'s' * (there != 1)}"
            raise ConfigError(f"{self.local_size} processes on this machine, which has {gpus}", f"nproc={there}")
        torch.cuda.set_device(self.local_rank)
        return torch.device("cuda", self.local_rank)

    def part(self, batch: Tensor) -> Tensor:
        """This rank's rows of a batch's indices, perhaps none: the first ranks have one row more than the others."""
        return batch if self.size == 1 else batch.tensor_split(self.size)[self.rank]

    def parts(self, num_rows: int) -> list[int]:
        """How many rows of a batch each rank gets."""
        return [len(part) for part in torch.arange(num_rows).tensor_split(self.size)]

    def add(self, value: Tensor) -> Tensor:
        """The sum over the ranks, the same bits on each."""
        if self.size > 1:
            value = value.clone()
            dist.all_reduce(value)
        return value

    def mean(self, loss: Tensor) -> Tensor:
        """The loss of a step over all ranks, from each one's part."""
        return loss if self.size == 1 else self.add(loss) / self.size

    def add_sums(self, sums: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Sums by name, added in the order of the ranks; a rank may have none."""
        if self.size == 1:
            return dict(sums)
        found: list[dict[str, Tensor]] = [{} for _ in range(self.size)]
        dist.all_gather_object(found, {name: value.cpu() for name, value in sums.items()})
        names = dict.fromkeys(name for part in found for name in part)
        return {name: torch.stack([part[name] for part in found if name in part]).sum(0) for name in names}

    def agree(self, reason: StopReason | None) -> StopReason | None:
        """Whether any rank has a reason to stop, and which: the first rank's that has one."""
        if self.size == 1:
            return reason
        wishes = torch.tensor(reason is not None, dtype=torch.int32)
        dist.all_reduce(wishes)
        if not int(wishes):
            return None
        reasons: list[StopReason | None] = [None] * self.size
        dist.all_gather_object(reasons, reason)
        return next(found for found in reasons if found is not None)

    def tell(self, value: Any) -> Any:
        """The first rank's value, on every rank."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def share_buffers(self, model: nn.Module) -> None:
        """Give every rank the first one's buffers, such as batch norm's running statistics."""
        if self.size > 1:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)


def num_ranks(config: Config) -> int:
    """How many processes are to be started here for this config: one in a process that is a rank already."""
    if environment.launched():
        return 1
    if config.nproc != "auto":
        return config.nproc
    return max(1, torch.cuda.device_count()) if config.device in ("auto", "cuda") else 1


def synchronised(model: nn.Module, device: torch.device, ranks: Ranks) -> nn.Module:
    """The model with batch norms that see the whole batch; itself for one process. Raises ConfigError off CUDA."""
    if ranks.size == 1:
        return model
    if device.type != "cuda":
        raise ConfigError("sync_batchnorm=true: torch's SyncBatchNorm works on CUDA alone", "sync_batchnorm=false")
    found: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(model)
    return found


@contextmanager
def joined() -> Iterator[Ranks]:
    """Within: this process is the rank that its launcher's environment says; alone where there is no launcher.

    Raises PeerLost where another rank went away.
    """
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
            raise PeerLost("another rank is gone") from error
        raise


def averaging(
    model: nn.Module,
    loss_fn: nn.Module,
    autocast: Callable[[], AbstractContextManager[Any]],
    sample: tuple[Tensor, Tensor],
    num_rows: int,
) -> DistributedDataParallel:
    """The model's forward, whose backward averages gradients over the ranks.

    sample: a few rows, on the device; num_rows: how many a rank sees of a batch. Two throw-away backward passes are
    made of as many rows. The first finds parameters that no gradient reaches; the second lets DDP put its buckets into
    the order in which gradients come, which it does after its first backward: done later, a resumed run would add up
    in another order than the run that it continues. Nothing is left of either, in gradients, buffers or generators.
    """
    x, y = (part[torch.arange(num_rows) % len(part)] for part in sample)
    device = x.device

    def loss_of(forward: Callable[[Tensor], Tensor]) -> Tensor:
        with autocast():
            loss: Tensor = loss_fn(forward(x), y)
            return loss

    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        loss_of(model).backward()
        trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
        unused = any(parameter.grad is None for parameter in trainable)
        model.zero_grad()
        device_ids = [device] if device.type == "cuda" else None
        forward = DistributedDataParallel(model, device_ids=device_ids, find_unused_parameters=unused)
        loss_of(forward).backward()
    model.zero_grad()
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    return forward
