"""Pictures a second: a folder of JPEGs, decoded for each epoch and kept in memory, and where the time goes.

    taskset -c 0 python benchmarks/pictures.py [NUM_PICTURES [SIZE …]]

The first epoch is also taken by Pillow alone, as before 0.6.0, in the same minutes. The line of microseconds says where
the time goes.
"""

import io
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from trainer.build.build import build
from trainer.config import files
from trainer.config.compose import compose
from trainer.config.source import Source
from trainer.data import jpeg, picture_file
from trainer.data.batches import TrainBatches
from trainer.loop import train

SIDE, CLASSES, EPOCHS = 256, 3, 4
WAYS = {"decoded each epoch": "false", "kept in memory": "auto"}


def main() -> None:
    """Print a table."""
    num_pictures, *sizes = [int(word) for word in sys.argv[1:]] or [3000]
    with tempfile.TemporaryDirectory() as folder:
        paths = write(Path(folder), num_pictures)
        decoders(paths)
        for size in sizes or [64, 128, 224]:
            print(f"\n{num_pictures:,} JPEGs of {SIDE}×{SIDE}, brought to {size}×{size}")
            alone, ours = first_epochs([f"dataset.path={folder}", f"dataset.size={size}"])
            print(
                f"  first epoch: {ours:,.0f} pictures/s, by Pillow alone {alone:,.0f}: {ours / alone:.2f} times as fast"
            )
            for name, in_memory in WAYS.items():
                words = [f"dataset.path={folder}", f"dataset.size={size}", f"loader.in_memory={in_memory}"]
                first, later = rates(words)
                waits = waiting(words)
                print(
                    f"  {name:<20} first epoch {first:>7,.0f} pictures/s, later {later:>9,.0f}; waits {waits:.2%} later"
                )


def write(folder: Path, num_pictures: int) -> list[Path]:
    """Noisy colour gradients as JPEGs of quality 85, in one folder for each class."""
    draw, written = np.random.default_rng(0), []
    for number in range(num_pictures):
        coarse = Image.fromarray(draw.integers(0, 256, (12, 12, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)).astype("float64")
        pixels = (smooth + draw.normal(0, 2, smooth.shape)).clip(0, 255).astype("uint8")
        written.append(folder / f"class{number % CLASSES}" / f"{number}.jpg")
        written[-1].parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(written[-1], quality=85)
    return written


def decoders(paths: Sequence[Path]) -> None:
    """The median microseconds of each step. They take turns, and none sees a picture twice: processors learn it."""

    def pillow(data: bytes) -> Image.Image:
        picture = Image.open(io.BytesIO(data), formats=("JPEG",))
        picture.load()
        return picture

    def torchvision(data: bytes) -> torch.Tensor:
        return jpeg.decoder()(torch.frombuffer(bytearray(data), dtype=torch.uint8), 3)

    first = paths[0].read_bytes()
    picture, pixels, how = pillow(first), torchvision(first), picture_file.PictureFormat(64)
    steps: Mapping[str, Callable[[bytes], Any]] = {
        "decode by Pillow": pillow,
        "by torchvision": torchvision,
        "resize to 64 by Pillow": lambda data: picture_file.square(picture, 64),
        "by torch": lambda data: jpeg.resized(pixels, 64),
        "all by Pillow": lambda data: picture_file.square(pillow(data), 64),
        "all as the program does it": lambda data: picture_file.decoded(data, "", how),
    }
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for path, name in zip(paths, itertools.cycle(steps), strict=False):
        data, begun = path.read_bytes(), time.perf_counter()
        steps[name](data)
        seconds[name].append(time.perf_counter() - begun)
    parts = [f"{name} {1e6 * statistics.median(some):.0f}" for name, some in seconds.items()]
    print("µs a picture: " + " · ".join(parts))


def state(words: Sequence[str]) -> Any:
    """A small run on the pictures."""
    words = ["dataset=images", *words, "model=cnn", "model.channels=[16]", "threads=1", "guards=none"]
    words += ["loader.num_workers=0"]
    return build(compose(Source(words, files.roots())).check())[0]


def first_epochs(words: Sequence[str], turns: int = 5) -> tuple[float, float]:
    """Pictures a second of first epochs by Pillow alone and by ours, in processor time: the medians of turns."""
    rows, factors = {}, jpeg.FACTORS
    for turn, kept in itertools.product(range(turns), ((), factors)):
        jpeg.FACTORS = kept
        rows[turn, bool(kept)] = rates([*words, "loader.in_memory=auto"], epochs=1)[0]
    jpeg.FACTORS = factors
    alone, ours = ([rate for (_, fast), rate in rows.items() if fast == wanted] for wanted in (False, True))
    return statistics.median(alone), statistics.median(ours)


def rates(words: Sequence[str], epochs: int = 3) -> tuple[float, float]:
    """Pictures a second of the first epoch and of the next ones, without training, in processor time."""
    batches: TrainBatches = state(words).train_batches
    seconds = []
    for epoch in range(epochs):
        begun = time.process_time()
        for window in batches.windows(epoch):
            list(window)
        seconds.append(time.process_time() - begun)
    return batches.num_rows / seconds[0], batches.num_rows / min(seconds[1:], default=seconds[0])


def waiting(words: Sequence[str]) -> float:
    """The share of the time of later epochs, without evaluation, that a small CNN waits for data."""
    run = state(words)
    run.progress.num_steps = run.progress.eval_every = sys.maxsize
    waited = begun = 0.0
    for event in train(run):
        if event.step == run.progress.steps_per_epoch:
            waited, begun = run.train_batches.waited, time.perf_counter()
        if event.step == EPOCHS * run.progress.steps_per_epoch:
            break
    return (run.train_batches.waited - waited) / (time.perf_counter() - begun)


if __name__ == "__main__":
    main()
