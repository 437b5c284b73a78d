"""What several processes cost: 2 ranks with a thread each against 1 process with 2 threads, batch 512, on a CPU.

python benchmarks/ranks.py [model.hidden=[512,512] …]

Prints the time of a step each way, alternating so that both meet the same machine, and where a rank's step goes.
"""

import statistics
import sys
import tempfile
import time
from typing import Any

import torch

from trainer.build.build import build
from trainer.config import compose, files, source
from trainer.config.check import check
from trainer.loop import train
from trainer.processes.ranks import joined

ROUNDS, STEPS, WARM = 5, 150, 20
COMMON = ["device=cpu", "loader.batch_size=512", "dataset.val_fraction=0", "epochs=1000", "eval_every=1000epochs"]


def steps(data: dict[str, Any], threads: int) -> dict[str, float]:
    """Milliseconds of a step, by part: the median of each."""
    with joined() as ranks:
        run, _ = build(check(data), ranks=ranks)
        torch.set_num_threads(threads)
        spent: dict[str, list[float]] = {}

        def timed(name: str, function: Any) -> Any:
            def call(*args: Any) -> Any:
                begun = time.perf_counter()
                result = function(*args)
                spent.setdefault(name, []).append(1000 * (time.perf_counter() - begun))
                return result

            return call

        run.step = timed("the five verbs", run.step)
        object.__setattr__(ranks, "mean", timed("mean of the loss", ranks.mean))
        object.__setattr__(ranks, "agree", timed("agreement to stop", ranks.agree))
        events, begun = train(run), 0.0
        for number, _ in enumerate(events):
            if number == WARM:
                spent.clear()
                begun = time.perf_counter()
            if number == WARM + STEPS:
                whole = 1000 * (time.perf_counter() - begun) / STEPS
                break
        return {"a step": whole} | {name: statistics.median(values) for name, values in spent.items()}


def alone(data: dict[str, Any], threads: int) -> dict[str, float]:
    """Half the batch in one process that talks to nobody: what a rank's own arithmetic takes."""
    return steps({**data, "loader": {**data["loader"], "batch_size": data["loader"]["batch_size"] // 2}}, threads)


def on_ranks(data: dict[str, Any], num_ranks: int) -> dict[str, float]:
    """The same on several ranks with a thread each; rank 0's times."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    place = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0", "local_addr": "localhost", "run_id": "cost"}
    with tempfile.TemporaryDirectory() as logs:
        how = LaunchConfig(1, 1, num_ranks, DefaultLogsSpecs(log_dir=logs), **place)
        found: dict[int, dict[str, float]] = elastic_launch(how, steps)(data, 1)
    return found[0]


def main() -> None:
    """Print a line for each way, and the ratio."""
    data = compose.compose(source.Source([*COMMON, *sys.argv[1:]], files.roots())).data
    ways = {
        "1 process, 2 threads": lambda: steps(data, 2),
        "2 ranks, 1 thread each": lambda: on_ranks(data, 2),
        "1 process, 1 thread": lambda: steps(data, 1),
        "1 process, 1 thread, half the batch": lambda: alone(data, 1),
    }
    found: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            found[name].append(way())
    for name, rounds in found.items():
        parts = {part: statistics.median(one[part] for one in rounds) for part in rounds[0]}
        print(f"{name:<36}" + ", ".join(f"{part} {value:.3f} ms" for part, value in parts.items()))
    first, second = (statistics.median(one["a step"] for one in found[name]) for name in list(ways)[:2])
    print(f"ratio: 2 ranks take {second / first:.2f} times the time of 1 process with 2 threads")


if __name__ == "__main__":
    main()
