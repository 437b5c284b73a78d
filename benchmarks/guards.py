"""The cost of guards: runs of 1,000 steps of MNIST's size, with guards=warn and guards=none in turn, in one process.

python benchmarks/guards.py [rounds] [steps]

Each round trains in the order warn, none, none, warn. Printed are the medians over rounds, and the median difference
within a round: of the run (build, training, evaluation, files) in seconds on the clock and of the processor, and of its
training alone. The last line gives the seconds inside the guards' own calls, the least of all rounds.
"""

import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from unittest import mock

import torch
from timing import timed

from trainer.build import guarded
from trainer.cli import main as trainer
from trainer.data.tensors import TensorData
from trainer.guards import structure
from trainer.listeners.guards import Guards


class Rows(TensorData):
    """6,400 rows like MNIST's: bytes (1, 28, 28), ten classes."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        x = torch.randint(0, 256, (6400, 1, 28, 28), generator=generator, dtype=torch.uint8)
        y = torch.arange(6400) % 10
        x[torch.arange(6400), 0, 0, y] = 255
        super().__init__(x, y, classes=list("0123456789"), scaling=(33.3, 78.6))


def measure(guards: str, steps: int) -> tuple[float, float, float]:
    """Train 784-128-10 with Adam. Returns seconds: (of the run, of the processor in it, of its training)."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        words = ["dataset=own", "dataset._target_=guards.Rows", "dataset.val_fraction=0", "optimizer=adam"]
        words += [f"max_steps={steps}", "epochs=1000", "report=false", "threads=1", "device=cpu"]
        wall, cpu = time.perf_counter(), time.process_time()
        code = trainer(["train", *words, f"guards={guards}", f"output_dir={folder}"])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if code != 0:
            sys.exit(f"the run ended with {code}")
        summary = json.loads(next(Path(folder).rglob("summary.json")).read_text())
    return wall, cpu, summary["seconds"]["train"]


def own_share(steps: int) -> tuple[float, float]:
    """Train once. Returns seconds: (in the guards' calls, in the run)."""
    spent: list[float] = []
    calls = ((guarded, "before_training"), (structure, "unregistered"), (Guards, "__call__"), (Guards, "__init__"))
    with ExitStack() as stack:
        for place, name in calls:
            stack.enter_context(mock.patch.object(place, name, timed(getattr(place, name), spent)))
        wall, _, _ = measure("warn", steps)
    return sum(spent), wall


def main() -> None:
    """Print a line for each of the three measures."""
    rounds, steps = (int(word) for word in (sys.argv[1:] + ["15", "1000"][len(sys.argv) - 1 :])[:2])
    measure("warn", steps)  # imports, and the thread pool
    times: dict[str, list[list[float]]] = {"warn": [], "none": []}
    for _ in range(rounds):
        first, *nones, last = (measure(guards, steps) for guards in ("warn", "none", "none", "warn"))
        for guards, runs in (("warn", [first, last]), ("none", nones)):
            times[guards].append([statistics.fmean(values) for values in zip(*runs, strict=True)])
    for index, name in enumerate(("the run", "processor", "training")):
        none, warn = ([run[index] for run in times[guards]] for guards in ("none", "warn"))
        extra = statistics.median(a - b for a, b in zip(warn, none, strict=True))
        middle = statistics.median(none)
        print(f"{name:<10} none {middle:.4f} s, warn {statistics.median(warn):.4f} s: {extra / middle:+.2%}")
    shares = [own_share(steps) for _ in range(rounds)]
    calls, wall = (min(part) for part in zip(*shares, strict=True))  # other work on the machine only adds
    print(f"guards' own calls {calls * 1e3:.2f} ms of {wall * 1e3:.0f} ms: {calls / wall:.2%}")


if __name__ == "__main__":
    main()
