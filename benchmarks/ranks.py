"""The cost of several processes: 2 ranks with a thread each against 1 process with 2 threads, batch 512, on a CPU.

python benchmarks/ranks.py [model.hidden=[512,512] …]

Prints the time of a step each way, alternating so that both see the same machine, and the parts of a rank's step.
"""

import itertools
import statistics
import sys
import tempfile
import time
from typing import Any

import torch
from timing import timed

from trainer.build.build import build
from trainer.config import compose, files, source
from trainer.config.check import check
from trainer.loop import train
from trainer.processes.ranks import joined

ROUNDS, STEPS, WARM = 5, 150, 20
COMMON = ["device=cpu", "loader.batch_size=512", "dataset.val_fraction=0", "epochs=1000", "eval_every=1000epochs"]


def steps(data: dict[str, Any], threads: int) -> dict[str, float]:
    """Train, and return the milliseconds of a step; of its parts, the medians."""
    with joined() as ranks:
        run, _ = build(check(data), ranks=ranks)
        torch.set_num_threads(threads)
        spent: dict[str, list[float]] = {"the five verbs": [], "mean of the loss": [], "agreement to stop": []}
        run.step = timed(run.step, spent["the five verbs"])
        object.__setattr__(ranks, "mean", timed(ranks.mean, spent["mean of the loss"]))
        object.__setattr__(ranks, "agree", timed(ranks.agree, spent["agreement to stop"]))
        events = train(run)
        for _ in itertools.islice(events, WARM + 1):
            pass
        begun = time.perf_counter()
        for _ in itertools.islice(events, STEPS):
            pass
        whole = (time.perf_counter() - begun) / STEPS
        medians = {name: statistics.median(seconds[-STEPS:]) for name, seconds in spent.items()}
        return {name: 1000 * seconds for name, seconds in ({"a step": whole} | medians).items()}


def on_ranks(data: dict[str, Any], num_ranks: int) -> dict[str, float]:
    """The same on several ranks with a thread each; rank 0's times."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    place = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "local_addr": "localhost", "run_id": "cost"}
    with tempfile.TemporaryDirectory() as logs:
        launch = LaunchConfig(1, 1, num_ranks, DefaultLogsSpecs(log_dir=logs), **place)
        times: dict[int, dict[str, float]] = elastic_launch(launch, steps)(data, 1)
    return times[0]


def main() -> None:
    """Print a line for each way, and the ratio."""
    data = compose.compose(source.Source([*COMMON, *sys.argv[1:]], files.roots())).data
    half = {**data, "loader": {**data["loader"], "batch_size": data["loader"]["batch_size"] // 2}}  # as a rank has
    ways = {
        "1 process, 2 threads": lambda: steps(data, 2),
        "2 ranks, 1 thread each": lambda: on_ranks(data, 2),
        "1 process, 1 thread": lambda: steps(data, 1),
        "1 process, 1 thread, half the batch": lambda: steps(half, 1),
    }
    rounds = [{name: way() for name, way in ways.items()} for _ in range(ROUNDS)]
    medians = {
        name: {part: statistics.median(r[name][part] for r in rounds) for part in rounds[0][name]} for name in ways
    }
    for name, parts in medians.items():
        print(f"{name:<36}" + ", ".join(f"{part} {value:.3f} ms" for part, value in parts.items()))
    first, second, *_ = (parts["a step"] for parts in medians.values())
    print(f"ratio: 2 ranks take {second / first:.2f} times the time of 1 process with 2 threads")


if __name__ == "__main__":
    main()
