"""Augmented training against unaugmented, in memory, in turns: samples a second of a CNN on pictures of 3×32×32.

python benchmarks/augmentation.py --rounds 9 --threads 2 [--device cuda] [key=value …]
"""

import argparse
import itertools
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from trainer.build.build import build
from trainer.config import files
from trainer.config.compose import compose
from trainer.config.source import Source
from trainer.events import Stepped
from trainer.loop import train
from trainer.state import TrainState

NUM_ROWS, WARM_UP = 4096, 3
KINDS = {
    "augment=none": ["augment=none"],
    "augment=flip_shift": ["augment=flip_shift"],
    "augment=crop_flip": ["augment=crop_flip"],
    "everything": ["augment=crop_flip", "augment.shift=2", "augment.cutout=8", "augment.brightness=0.2",
                   "augment.contrast=0.2", "augment.mixup=0.2", "augment.cutmix=1"],
}  # fmt: skip


def run_of(words: list[str]) -> TrainState:
    """A run that never evaluates."""
    run, _ = build(compose(Source(words, files.roots())).check())
    run.progress.num_steps = run.progress.eval_every = 10**9
    return run


def main() -> None:
    """Print the ratio of each kind to augment=none, of the medians over the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=20, help="steps of a block")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("words", nargs="*", help="settings of all runs")
    args = parser.parse_args()
    chance = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.npz"
        x = chance.integers(0, 256, (NUM_ROWS, 3, 32, 32), dtype=np.uint8)
        np.savez(path, x=x, y=chance.integers(0, 10, NUM_ROWS))
        words = ["dataset=npz", f"dataset.path={path}", "model=cnn", "loader.batch_size=128", "guards=none"]
        words += [f"threads={args.threads}", f"device={args.device}", *args.words]
        events = {name: train(run_of([*words, *kind])) for name, kind in KINDS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in KINDS}
    for number, (name, some) in itertools.product(range(args.rounds), events.items()):
        if number == 0:
            _ = [next(some) for _ in range(WARM_UP)]
        begun = time.perf_counter()
        steps = itertools.islice(some, args.steps)
        samples = sum(event.window.num_samples for event in steps if isinstance(event, Stepped))
        if args.device != "cpu":
            torch.cuda.synchronize()
        seconds[name].append((time.perf_counter() - begun) / samples)
    plain = statistics.median(seconds["augment=none"])
    for name, each in seconds.items():
        middle = statistics.median(each)
        print(f"{name:20} {1 / middle:10,.0f} samples/s   {plain / middle:.3f} × augment=none")


main()
