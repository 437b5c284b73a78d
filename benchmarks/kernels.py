"""Samples/s of a CNN on pictures of 32×32 in memory, as it is, with each kernel that `bench` tries, and augmented.

    python benchmarks/kernels.py [--rounds 3] [--seconds 1] [key=value …]

The ways take turns in one process. The gain is the median over the rounds, each against the plain way of its round.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainer import kernels
from trainer.config import compose, files, source
from trainer.diagnosis.step_times import measure

PICTURES = 20_000
MODEL = ["model=cnn", "model.channels=[64,128,256]", "loader.batch_size=512"]
AUGMENTED = "augment=flip_shift"
LEAST = {"cpu": 0.8, "cuda": 0.9}  # the gain of AUGMENTED: what we claim


def ways(device: str) -> list[str]:
    """The words of each way."""
    on_cuda = ["matmul=high", "deterministic=false"] if device == "cuda" else []
    return ["", "channels_last=true", *on_cuda, AUGMENTED]


def settings(path: Path, *words: str) -> dict[str, Any]:
    """A config as plain data."""
    typed = ["dataset=npz", f"dataset.path={path}", "dataset.val_fraction=0", *MODEL, *words]
    return compose.compose(source.Source([word for word in typed if word], files.roots())).data


def main() -> None:
    """Print a line for each way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.0)
    args, words = parser.parse_known_args()
    device, draw = "cuda" if torch.cuda.is_available() else "cpu", np.random.default_rng(0)
    rates: dict[str, list[float]] = {way: [] for way in ways(device)}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.npz"
        x = draw.integers(0, 256, (PICTURES, 3, 32, 32), dtype=np.uint8)
        np.savez(path, x=x, y=draw.integers(0, 10, PICTURES))
        for _ in range(args.rounds):
            for way in rates:
                with kernels.kept():
                    data = settings(path, f"device={device}", *words, way)
                    rates[way].append(measure(data, args.seconds).samples_per_second)
    print(f"{'':<20}{'samples/s':>12}{'gain':>7}{'at least':>10}")
    for way, each in rates.items():
        gain = statistics.median(mine / plain for mine, plain in zip(each, rates[""], strict=True))
        least = LEAST[device] if way == AUGMENTED else ""
        print(f"{way or 'as it is':<20}{statistics.median(each):>12,.0f}{gain:>7.2f}{least:>10}")


if __name__ == "__main__":
    main()
