"""What guards cost: runs of 1,000 steps of MNIST's size, with guards=warn and guards=none in turn, in one process.

python benchmarks/guards.py [rounds] [steps]

Each round trains in the order warn, none, none, warn. Shown are the medians, and the median over rounds of the
difference within a round, of the whole run (build, training, evaluation, files) and of its training alone, in
seconds on the clock and of the processor. The last line adds up the seconds within the guards' own calls, the least of
all rounds.
"""

import contextlib
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from trainer.build import build
from trainer.cli import main as trainer
from trainer.data.tensors import TensorData
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
    """(seconds of a run, processor seconds of it, seconds of its training) with 784-128-10 and Adam."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        words = ["dataset=own", "dataset._target_=guards.Rows", "dataset.val_fraction=0", "optimizer=adam"]
        words += [f"max_steps={steps}", "epochs=1000", "report=false", "threads=1", "device=cpu"]
        wall, cpu = time.perf_counter(), time.process_time()
        code = trainer(["train", *words, f"guards={guards}", f"output_dir={folder}"])
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if code != 0:
            raise SystemExit(f"the run ended with {code}")
        summary = json.loads(next(Path(folder).rglob("summary.json")).read_text())
    return wall, cpu, summary["seconds"]["train"]


def own_share(steps: int) -> tuple[float, float]:
    """Seconds (within the guards' calls, in the whole run)."""
    spent = 0

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **keywords: Any) -> Any:
            nonlocal spent
            begun = time.perf_counter_ns()
            result = function(*args, **keywords)
            spent += time.perf_counter_ns() - begun
            return result

        return call

    with ExitStack() as stack:
        for place, name in ((build, "before_training"), (build.structure, "unregistered"), (Guards, "__call__")):
            stack.enter_context(mock.patch.object(place, name, timed(getattr(place, name))))
        stack.enter_context(mock.patch.object(Guards, "__init__", timed(Guards.__init__)))
        wall, _, _ = measure("warn", steps)
    return spent / 1e9, wall


def main() -> None:
    """Print a line for each of the three measures."""
    rounds, steps = (int(word) for word in (sys.argv[1:] + ["15", "1000"][len(sys.argv) - 1 :])[:2])
    measure("warn", steps)  # imports, and the thread pool
    times: dict[str, list[tuple[float, float, float]]] = {"warn": [], "none": []}
    for _ in range(rounds):
        taken: dict[str, list[tuple[float, float, float]]] = {"warn": [], "none": []}
        for guards in ("warn", "none", "none", "warn"):
            taken[guards].append(measure(guards, steps))
        for guards, runs in taken.items():
            times[guards].append(tuple(map(statistics.fmean, zip(*runs, strict=True))))
    for index, name in enumerate(("the run", "processor", "training")):
        none, warn = ([run[index] for run in times[guards]] for guards in ("none", "warn"))
        extra = statistics.median(a - b for a, b in zip(warn, none, strict=True))
        middle = statistics.median(none)
        print(f"{name:<10} none {middle:.4f} s, warn {statistics.median(warn):.4f} s: {extra / middle:+.2%}")
    shares = [own_share(steps) for _ in range(rounds)]
    own, whole = (min(part) for part in zip(*shares, strict=True))  # other work on the machine only adds
    print(f"guards' own calls {own * 1e3:.2f} ms of {whole * 1e3:.0f} ms: {own / whole:.2%}")


if __name__ == "__main__":
    main()
