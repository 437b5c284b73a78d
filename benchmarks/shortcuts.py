"""Each shortcut around torch against torch's own way, in turns: a step on digits' MLP, and the start of a run.

python benchmarks/shortcuts.py --rounds 15        least and median of the blocks, in µs a step and seconds a start
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from types import MethodType

import torch
from torch import nn

from trainer.optim import shortcuts

STEPS = 300  # a block
START = """
import contextlib, time
from trainer.processes.torch_import import uncollected
begun = time.perf_counter()
with {}:
    from trainer.run import launch
print(time.perf_counter() - begun)
"""


def step_of(*, short_step: bool, short_zero_grad: bool) -> Callable[[], None]:
    """One training step of digits' MLP with the run's own kind of optimizer."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
    x, y = torch.randn(64, 64), torch.randint(0, 10, (64,))
    groups = [
        {"params": [model[0].weight, model[2].weight], "weight_decay": 0.01},
        {"params": [model[0].bias, model[2].bias], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, fused=True)
    shortcuts.strip(optimizer)
    zero_grad = optimizer.zero_grad
    if short_step:
        shortcuts.shorten(optimizer)
        optimizer.zero_grad = zero_grad
    if short_zero_grad:
        optimizer.zero_grad = MethodType(shortcuts.short_zero_grad(zero_grad), optimizer)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def block(step: Callable[[], None]) -> float:
    """µs a step."""
    begun = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - begun) / STEPS * 1e6


def whole_run(shortcut: str) -> float:
    """Seconds of a run of one epoch, from start to exit."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        words = [sys.executable, "-m", "trainer", "train", "report=false", "epochs=1"]
        environment = {**os.environ, "TRAINER_SHORTCUTS": shortcut}
        subprocess.run(words, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
        return time.perf_counter() - begun


def imports(around: str) -> float:
    """Seconds that the import of torch and of what trains takes, within `around`."""
    words = [sys.executable, "-c", START.format(around)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout)


def compare(name: str, ways: dict[str, Callable[[], float]], rounds: int) -> None:
    """Measure the ways in turns and print a line for each."""
    taken: dict[str, list[float]] = {way: [] for way in ways}
    for _ in range(rounds):
        for way, measure in ways.items():
            taken[way].append(measure())
    print(name)
    first = next(iter(taken.values()))
    for way, values in taken.items():
        ratio = statistics.median(a / b for a, b in zip(first, values, strict=True))
        print(
            f"  {way:<34} least {min(values):8.2f}  median {statistics.median(values):8.2f}  {ratio:.2f} times as fast"
        )


def main() -> None:
    """Steps first, in this process; then whole processes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    steps = {
        "torch's own step and zero_grad": step_of(short_step=False, short_zero_grad=False),
        "short step": step_of(short_step=True, short_zero_grad=False),
        "short step and short zero_grad": step_of(short_step=True, short_zero_grad=True),
    }
    for step in steps.values():
        block(step)
    compare("a step, µs", {name: lambda step=step: block(step) for name, step in steps.items()}, rounds)
    starts = max(3, rounds // 3)
    compare(
        "start to exit, s",
        {"TRAINER_SHORTCUTS=0": lambda: whole_run("0"), "with shortcuts": lambda: whole_run("1")},
        starts,
    )
    compare(
        "import, s",
        {
            "with the collector": lambda: imports("contextlib.nullcontext()"),
            "without (torch_import.uncollected)": lambda: imports("uncollected()"),
        },
        starts,
    )


if __name__ == "__main__":
    main()
