"""Measures one config's training steps in a process of its own: throughput, step time by part, memory, compile time."""

import gc
import itertools
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from trainer.config import composition, user_modules
from trainer.config.source import Source
from trainer.errors import TrainerError, described

WARM_UP = 3  # steps before the clock starts; what they take beyond their due is compile time


@dataclass
class Measured:
    """step: seconds a step. parts: those of them in data, forward, backward and optimizer, where hooks can tell.
    peak: bytes beyond what the process had before the build; on CUDA, those that torch allocated there."""

    samples_per_second: float
    step: float
    compile_seconds: float
    peak: int
    num_steps: int
    threads: int
    in_memory: bool
    note: str = ""
    parts: dict[str, float] = field(default_factory=dict)


def main(data: Mapping[str, Any], seconds: float, answer: Connection) -> None:
    """The process of one measurement: sends a Measured, or the message of what went wrong."""
    from trainer.processes import parent_death
    from trainer.terminal import warnings

    parent_death.die_with_it()
    user_modules.allow_user_modules()
    try:
        with warnings.told(lambda texts, where: None):  # a run's to say; here they would come anew for each line
            answer.send(measure(data, seconds))
        gc.collect()  # ends the DataLoader's workers while they can be waited for
    except TrainerError as error:
        answer.send(error.message)
    except Exception as error:  # one variant that fails is a line in the table
        answer.send(described(error))


def measure(data: Mapping[str, Any], seconds: float) -> Measured:
    """Build and take steps for `seconds`, and as long again with the parts timed where nothing is compiled."""
    import torch

    from trainer.build.build import build
    from trainer.compiled_step import CompiledStep
    from trainer.data.loaders import InMemory

    before = _peak(None)
    run, setup = build(composition.checked(dict(data), Source([], []), {}))
    config = setup.config
    steps = _Steps(run)
    first = steps.take(number=WARM_UP)[1]
    number, spent, samples = steps.take(limit=seconds)
    step = spent / number
    compile_seconds = max(0.0, first - WARM_UP * step) if config.compile != "none" else 0.0
    measured = Measured(
        samples_per_second=samples / spent,
        step=step,
        compile_seconds=compile_seconds,
        peak=_peak(run.device) - (before if run.device.type == "cpu" else 0),
        num_steps=run.progress.num_steps,
        threads=torch.get_num_threads(),
        in_memory=isinstance(run.train_batches.loader, InMemory),
        note=run.step.describe() if isinstance(run.step, CompiledStep) and run.step.obstacle else "",
    )
    if config.compile == "none":
        clock = _Clock(run)
        number, spent, _ = steps.take(limit=seconds, clock=clock)
        measured.parts = {name: value / number for name, value in clock.parts.items()}
    return measured


class _Steps:
    """The training loop without evaluation, epoch after epoch, from the end of the first one: a last batch that is
    shorter is compiled first, and not among the steps that are timed."""

    def __init__(self, run: Any) -> None:
        self.run = run
        run.model.train()
        self.windows = self._endless()

    def _endless(self) -> Any:
        batches = self.run.train_batches
        yield from batches.windows(0, batches.steps_per_epoch - 1)
        for epoch in itertools.count(1):
            yield from batches.windows(epoch)

    def take(self, number: int = sys.maxsize, limit: float = 1e9, clock: Any = None) -> tuple[int, float, int]:
        """(steps, seconds, samples) of `number` steps, or of as many as fit into `limit` seconds."""
        run, samples, taken = self.run, 0, 0
        begun = time.perf_counter()
        while taken < number and time.perf_counter() - begun < limit:
            if clock is not None:
                clock.begin()
            window = next(self.windows)
            run.seed_step()
            loss, _ = run.step(run, window)
            run.progress.advance(window.num_samples, loss)
            taken, samples = taken + 1, samples + window.num_samples
        _synchronize(run.device)
        return taken, time.perf_counter() - begun, samples


class _Clock:
    """Where a step's time goes, by PyTorch's own hooks: each adds the time since the one before to a part."""

    def __init__(self, run: Any) -> None:
        self.run, self.parts, self.mark = run, dict.fromkeys(("data", "forward", "backward", "optimizer"), 0.0), 0.0
        run.model.register_forward_pre_hook(lambda *_: self._add("data"))
        run.loss_fn.register_forward_hook(lambda *_: self._add("forward"))
        run.optimizer.register_step_pre_hook(lambda *_: self._add("backward"))
        run.optimizer.register_step_post_hook(lambda *_: self._add("optimizer"))

    def begin(self) -> None:
        """A step begins; what came since the last one's end is no part of it."""
        self.mark = time.perf_counter()

    def _add(self, part: str) -> None:
        _synchronize(self.run.device)
        now = time.perf_counter()
        self.parts[part] += now - self.mark
        self.mark = now


def _synchronize(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _peak(device: Any) -> int:
    """Bytes: the most that torch has had on a CUDA device, else the most that this process has had."""
    import torch

    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
