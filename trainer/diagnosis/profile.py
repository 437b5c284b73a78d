"""Takes some steps of a run under torch's profiler. The run is built for it and thrown away."""

import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch.profiler import ProfilerActivity, profile, schedule

from trainer.build.build import Setup
from trainer.config.settings import Settings
from trainer.device import synchronize
from trainer.diagnosis import marks, profiled, short_run, trace
from trainer.diagnosis.profiled import Profiled
from trainer.diagnosis.trace import Timeline
from trainer.errors import TrainerError
from trainer.events import Event, Started, Stepped
from trainer.loop import train
from trainer.state import TrainState

WARM = 5  # first steps, slower than a typical one
TIMED = 15  # steps without the profiler
WARM_UP = 2  # steps that the profiler sees and forgets


@dataclass(frozen=True)
class Profile:
    """plain: seconds of a step without the profiler. content: the trace, for a file."""

    plain: float
    sums: Profiled
    memory: Timeline | None
    content: bytes


def prepare(composed: Settings, num_steps: int) -> tuple[TrainState, Setup]:
    """Build a config for a profile of that many steps: eager ones, whose verbs can be told apart."""
    return short_run.prepare(composed, WARM + TIMED + WARM_UP + num_steps, graph=False)


def take(run: TrainState, num_steps: int) -> Profile:
    """Take the steps. Raises TrainerError if the loss becomes NaN or infinite before."""
    on_gpu = run.device.type == "cuda"
    events = train(run)
    times = [_timed(run, events) for _ in range(WARM + TIMED)]
    marks.mark(run)
    events = train(run)  # from here on, with the marks
    activities = [ProfilerActivity.CPU, *[ProfilerActivity.CUDA] * on_gpu]
    plan = schedule(wait=0, warmup=1, active=1)  # not of our steps: the profiler's own time between two would count
    with profile(activities=activities, profile_memory=True, schedule=plan, acc_events=True) as profiler:
        _steps(run, events, WARM_UP)
        profiler.step()
        _steps(run, events, num_steps)
    with tempfile.TemporaryDirectory() as folder:
        profiler.export_chrome_trace(str(Path(folder) / "trace.json"))
        written, content = trace.packed(Path(folder) / "trace.json", on_gpu=on_gpu)
    sums = profiled.summed(profiler.events(), num_steps)
    return Profile(statistics.median(times[WARM:]), sums, trace.timeline(written, on_gpu=on_gpu), content)


def _timed(run: TrainState, events: Iterator[Event]) -> float:
    begun = time.perf_counter()
    _steps(run, events, 1)
    return time.perf_counter() - begun


def _steps(run: TrainState, events: Iterator[Event], number: int) -> None:
    """Take some steps, and wait for the device."""
    for _ in range(number):
        if isinstance(event := next(events), Started):
            event = next(events)
        if not isinstance(event, Stepped):
            raise TrainerError(f"the loss is NaN or infinite at step {run.progress.step}", "trainer lr-find")
    synchronize(run.device)
