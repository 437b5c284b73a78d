"""Out of memory: what took it, and what to set instead, with numbers."""

import re

import torch

from trainer.config.schema import Config
from trainer.errors import TrainerError
from trainer.state import TrainState

MOSTLY_FIXED = (
    0.7  # share of the memory that weights, gradients and moments take, above which a batch is not the matter
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, or Python, could not get memory. torch's CPU allocator says so in words only."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator: can't allocate memory" in str(error)


def explain(error: BaseException, run: TrainState, config: Config) -> TrainerError:
    """The error with what to type instead: half the batch and twice the batches a step is the very same step."""
    fixed = held_bytes(run)
    there = available_bytes(run.device)
    batch, accumulate = config.loader.batch_size, config.accumulate
    if not run.model.training:  # in an evaluation
        size = config.loader.eval_batch_size
        text = f"out of memory in an evaluation, {size} rows at a time{_asked(error)}"
        return TrainerError(text, f"loader.eval_batch_size={max(1, size // 4)}; the metrics stay the same")
    held = f"weights, gradients and optimizer hold {_size(fixed)}" + (f" of {_size(there)}" if there else "")
    text = f"out of memory at step {run.progress.step + 1:,}, batch {batch}{_asked(error)}: {held}"
    ways = []
    if batch > 1 and not (there and fixed > MOSTLY_FIXED * there):
        half = -(-batch // 2)
        ways.append(f"loader.batch_size={half} accumulate={2 * accumulate} (steps of the same samples)")
    if config.autocast == "none":
        ways.append("autocast=bf16 (activations of half the bytes)")
    if not ways or (there and fixed > MOSTLY_FIXED * there):
        ways.append("optimizer=sgd (no moments), or a smaller model")
    return TrainerError(text, "; or ".join(ways))


def held_bytes(run: TrainState) -> int:
    """Bytes of weights, gradients, the optimizer's state and the best weights, as far as they are there."""
    tensors = [*run.model.parameters(), *run.model.buffers(), *(run.best_weights or {}).values()]
    tensors += [p.grad for p in run.model.parameters() if p.grad is not None]
    tensors += [v for s in run.optimizer.state.values() for v in s.values() if isinstance(v, torch.Tensor)]
    return sum(t.numel() * t.element_size() for t in tensors)


def available_bytes(device: torch.device) -> int:
    """All the memory of a CUDA device; 0 where nobody knows."""
    return torch.cuda.mem_get_info(device)[1] if device.type == "cuda" else 0


def _asked(error: BaseException) -> str:
    """torch's own figure of what it tried to get."""
    asked = re.search(r"[Tt]ri(?:ed|ying) to allocate ([\d.]+ (?:[KMG]i?B|bytes))", str(error))
    return f", {asked[1]} more needed" if asked else ""


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
