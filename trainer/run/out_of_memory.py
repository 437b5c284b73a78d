"""Out of memory: what used the memory, and what to set instead, with numbers."""

import re

import torch

from trainer.config.schema import Config
from trainer.errors import TrainerError
from trainer.state import TrainState
from trainer.text import counted

MOSTLY_FIXED = 0.7  # share of weights, gradients and moments in the memory, above which a smaller batch does not help


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch or Python could not allocate memory. torch's CPU allocator raises a plain RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)


def explain(error: BaseException, run: TrainState, config: Config) -> TrainerError:
    """The error with what to type instead: half the batch size and twice the batches a step give the same step."""
    request = re.search(r"[Tt]ri(?:ed|ying) to allocate ([\d.]+ (?:[KMG]i?B|bytes))", str(error))
    needed = f", {request[1]} more needed" if request else ""
    if not run.model.training:  # in an evaluation
        size = config.loader.eval_batch_size
        text = f"out of memory in an evaluation, {counted(size, 'row')} at a time{needed}"
        return TrainerError(text, f"loader.eval_batch_size={max(1, size // 4)}")
    fixed, batch = held_bytes(run), config.loader.batch_size
    total = torch.cuda.mem_get_info(run.device)[1] if run.device.type == "cuda" else 0  # elsewhere it is unknown
    held = f"weights, gradients and optimizer hold {_size(fixed)}" + (f" of {_size(total)}" if total else "")
    text = f"out of memory at step {run.progress.step + 1:,}, batch {batch}{needed}: {held}"
    mostly_fixed = 0 < total * MOSTLY_FIXED < fixed
    remedies = []
    if batch > 1 and not mostly_fixed:
        halved = f"loader.batch_size={-(-batch // 2)} accumulate={2 * config.accumulate}"
        remedies.append(halved)  # steps of the same samples
    if config.autocast == "none":
        remedies.append("autocast=bf16")
    if not remedies or mostly_fixed:
        remedies.append("optimizer=sgd")
    also = f"; {' and '.join(remedies[1:])} may help too" if remedies[1:] else ""
    return TrainerError(text + also, remedies[0])


def held_bytes(run: TrainState) -> int:
    """Bytes of weights, gradients, the optimizer's state and the best weights, as far as they exist."""
    tensors = [*run.model.parameters(), *run.model.buffers(), *(run.best_weights or {}).values()]
    tensors += run.average.tensors.values()
    tensors += [p.grad for p in run.model.parameters() if p.grad is not None]
    tensors += [v for s in run.optimizer.state.values() for v in s.values() if isinstance(v, torch.Tensor)]
    return sum(t.numel() * t.element_size() for t in tensors)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
