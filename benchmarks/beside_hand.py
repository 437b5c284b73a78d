"""The default loop beside one written by hand, in turns of 100 steps in one process, with equal threads.

    python benchmarks/beside_hand.py [--threads 1 2] [--batch 64 512] [--turns 60] [key=value …]

The work is that of peers.py: an MLP 784-128-10 with Adam. Both gather from memory and have a fused Adam. A ratio is the
speed of the default loop over that of the loop by hand, the median over turns: others' work on the machine hits both.
What listeners cost is not in it.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import torch
from torch.nn import functional

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "peers")]

import job  # noqa: E402

from trainer.build.build import build  # noqa: E402
from trainer.config import compose, files, source  # noqa: E402
from trainer.events import Stepped  # noqa: E402
from trainer.loop import train  # noqa: E402

STEPS = 100  # of a turn


def ours(batch: int, words: list[str]) -> Iterator[object]:
    """The steps of a run. Sets the threads of this process."""
    typed = ["dataset=own", "dataset._target_=job.Pictures", "optimizer=adam", f"loader.batch_size={batch}"]
    typed += ["epochs=1000", "eval_every=1000epochs", "report=false", *words]
    run, _ = build(compose.compose(source.Source(typed, files.roots())).check())
    return (event for event in train(run) if isinstance(event, Stepped))


def by_hand(batch: int) -> Iterator[None]:
    """The steps of a loop by hand."""
    x, y, _, _ = job.tensors(False)
    model = job.mlp(784)
    optimizer = torch.optim.Adam(model.parameters(), lr=job.LR, fused=True)
    while True:
        for rows in torch.randperm(len(x)).split(batch):
            optimizer.zero_grad()
            loss = functional.cross_entropy(model(x[rows]), y[rows])
            loss.backward()
            optimizer.step()
            yield


def seconds(steps: Iterator[object]) -> float:
    """Those of a turn."""
    begun = time.perf_counter()
    for _ in islice(steps, STEPS):
        pass
    return time.perf_counter() - begun


def main() -> None:
    """Print a line for each number of threads and batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--turns", type=int, default=60)
    args, words = parser.parse_known_args()
    for threads in args.threads:
        for batch in args.batch:
            both = ours(batch, [f"threads={threads}", *words]), by_hand(batch)
            for steps in both:
                seconds(steps)
            turns = [[seconds(steps) for steps in both] for _ in range(args.turns)]
            ratio = statistics.median(hand / mine for mine, hand in turns)
            mine, hand = (statistics.median(column) / STEPS * 1e6 for column in zip(*turns, strict=True))
            print(
                f"{threads} threads, batch {batch}: ratio {ratio:.3f} ({mine:,.0f} and {hand:,.0f} µs a step)",
                flush=True,
            )


if __name__ == "__main__":
    main()
