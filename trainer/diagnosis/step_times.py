"""Time training steps: throughput, the parts of a step, memory and compile time."""

import sys
import time
from collections.abc import Mapping
from typing import Any

import torch

from trainer.build.build import build
from trainer.build.model import no_pictures
from trainer.config.settings import Settings
from trainer.data.kept_pictures import KeptPictures
from trainer.device import synchronize
from trainer.diagnosis.measurement import Measured
from trainer.errors import TrainerError
from trainer.events import Stepped
from trainer.loop import train
from trainer.steps.compiled import CompiledStep
from trainer.steps.graphed import GraphedStep

AS_IT_BEGINS = {"unfreeze_at": None, "swa": None, "swa_lr": None}  # what is timed is one kind of steps
WARM_UP = 3  # steps before the clock starts; their extra time is compile time


def measure(data: Mapping[str, Any], seconds: float) -> Measured:
    """Build and take steps for `seconds`; without compiling, as long again to time the parts of a step."""
    before = _peak(None)
    run, setup = build(Settings({**data, **AS_IT_BEGINS}).check())
    config = setup.config
    if isinstance(loader := setup.splits.train.loader, KeptPictures):
        loader.kept.fill_(True)  # the later epochs are timed, which decode nothing; black pictures take as long
        loader.x.zero_()
    num_steps, steps = run.progress.num_steps, _Steps(run)
    first = steps.take(number=WARM_UP)[1]
    number, spent, samples = steps.take(limit=seconds)
    step = spent / number
    compile_seconds = max(0.0, first - WARM_UP * step) if config.compile != "none" else 0.0
    peak = _peak(run.device) - (before if run.device.type == "cpu" else 0)
    threads, in_memory = torch.get_num_threads(), run.train_batches.loader.knows_targets
    step_of: Any = getattr(run.step, "step", run.step)
    was_asked = isinstance(step_of, CompiledStep) or (isinstance(step_of, GraphedStep) and config.graph is True)
    note = step_of.describe() if was_asked and step_of.obstacle is not None else ""
    recorded = isinstance(step_of, GraphedStep) and step_of.obstacle is None
    where = run.device.type == "cuda", recorded, not no_pictures(run.model, setup.splits.sample[0])
    measured = Measured(samples / spent, step, compile_seconds, peak, num_steps, threads, in_memory, *where, note)
    if config.compile == "none":
        if isinstance(step_of, GraphedStep):
            step_of.obstacle = "the hooks of a clock are called in eager steps only"
        clock = _Clock(run)
        number, spent, _ = steps.take(limit=seconds, clock=clock)
        measured.parts = {name: value / number for name, value in clock.parts.items()}
    return measured


class _Steps:
    """The training loop without evaluation, from the end of the first epoch on: so a shorter last batch is compiled
    first, and its compilation is not timed."""

    def __init__(self, run: Any) -> None:
        self.run, progress = run, run.progress
        progress.step = progress.steps_per_epoch - 1
        if isinstance(step := getattr(run.step, "step", run.step), CompiledStep):
            step.first = progress.step
        progress.num_steps = progress.eval_every = sys.maxsize
        self.events = train(run)
        next(self.events)

    def take(self, number: int = sys.maxsize, limit: float = 1e9, clock: Any = None) -> tuple[int, float, int]:
        """Take `number` steps, or as many as fit into `limit` seconds. Returns (steps, seconds, samples)."""
        taken = samples = 0
        begun = time.perf_counter()
        while taken < number and time.perf_counter() - begun < limit:
            if clock is not None:
                clock.begin()
            event = next(self.events)
            if not isinstance(event, Stepped):
                raise TrainerError(f"the loss is NaN or infinite at step {event.step}", "trainer lr-find")
            taken, samples = taken + 1, samples + event.num_samples
        synchronize(self.run.device)
        return taken, time.perf_counter() - begun, samples


class _Clock:
    """The time of each part of a step, by PyTorch's hooks: each adds the time since the last one to a part."""

    def __init__(self, run: Any) -> None:
        self.run, self.parts, self.mark = run, dict.fromkeys(("data", "forward", "backward", "optimizer"), 0.0), 0.0
        run.model.register_forward_pre_hook(lambda *_: self._add("data"))
        run.loss_fn.register_forward_hook(lambda *_: self._add("forward"))
        run.optimizer.register_step_pre_hook(lambda *_: self._add("backward"))
        run.optimizer.register_step_post_hook(lambda *_: self._add("optimizer"))

    def begin(self) -> None:
        """Start a step; the time since the last one ended belongs to no part."""
        self.mark = time.perf_counter()

    def _add(self, part: str) -> None:
        synchronize(self.run.device)
        now = time.perf_counter()
        self.parts[part] += now - self.mark
        self.mark = now


def _peak(device: Any) -> int:
    """Peak bytes: of torch on a CUDA device, else of this process."""
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
