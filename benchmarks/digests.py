"""What knowing its data costs a run: the time that the digests take, as a share of the time that the run's own reading
of the same data takes; and, apart from it, the time of the row ids. One changed value in each is noticed.

python benchmarks/digests.py --folder /tmp/data            digits, 5,000 pictures, a 300 MB CSV, a 2 GB Parquet file
python benchmarks/digests.py --folder /tmp/data --small    the same kinds, a twentieth of the size
"""

import argparse
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import torch
from PIL import Image

from trainer.config import files
from trainer.config.compose import compose
from trainer.config.source import Source
from trainer.data import digests, row_ids
from trainer.data.batches import EvalBatches
from trainer.data.earlier import Earlier
from trainer.data.loading import make_splits
from trainer.data.splits import Splits
from trainer.data.tabular import chunks, rows
from trainer.errors import TrainerError

COLUMNS = 10  # of the tables
CPU = torch.device("cpu")


class Clock:
    """Seconds spent in the functions that it wraps; a call within another counts once."""

    def __init__(self) -> None:
        self.seconds, self.depth = 0.0, 0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*args: Any, **keywords: Any) -> Any:
            self.depth += 1
            begun = time.perf_counter()
            try:
                return function(*args, **keywords)
            finally:
                self.depth -= 1
                if not self.depth:
                    self.seconds += time.perf_counter() - begun

        return timed


@contextmanager
def wrapped(clock: Clock, *places: tuple[Any, str]) -> Iterator[None]:
    """Within: the functions at these places are timed by the clock."""
    before = [(owner, name, getattr(owner, name)) for owner, name in places]
    for owner, name, function in before:
        setattr(owner, name, clock.around(function))
    try:
        yield
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def read(words: list[str], earlier: Earlier | None = None) -> Splits:
    """Read data as a run does: what is read at the start, then every batch of each split once."""
    config = compose(Source([*words, "loader.shuffle=false"], files.roots())).check()
    splits = make_splits(config, CPU, torch.float32, download=False, earlier=earlier)
    for split in splits.parts.values():
        for _ in EvalBatches(split.loader, split.num_rows, 1024):
            pass
    return splits


def measure(name: str, words: list[str], change: Callable[[], None] | None) -> None:
    """Print the shares of a data set, and whether a change of one value in it is noticed."""
    read(words)  # files into the system's cache, and modules loaded
    digesting, identifying = Clock(), Clock()
    of_digests = [
        (digests, "of_bytes"),
        (digests, "of_tensors"),
        (digests.Digesting, "update"),
        (chunks.Chunks, "check"),
    ]
    of_ids = [(row_ids, "of_tensors"), (row_ids, "of_columns"), (rows, "ids_of")]
    begun = time.perf_counter()
    with wrapped(digesting, *of_digests), wrapped(identifying, *of_ids):
        splits = read(words)
    total = time.perf_counter() - begun
    own = total - digesting.seconds - identifying.seconds
    noticed = "" if change is None else noticing(words, splits, change)
    print(
        f"{name:<24} reading {own:7.2f} s   digests {digesting.seconds / own:6.1%}   "
        f"row ids {identifying.seconds:6.2f} s   {noticed}"
    )


def noticing(words: list[str], splits: Splits, change: Callable[[], None]) -> str:
    """Change one value, and read the data as a resumed run does."""
    change()
    try:
        read(words, Earlier(splits.preprocessing, splits.fingerprint))
    except TrainerError as error:
        return f"noticed: {error.message[-60:]}"
    return "NOT NOTICED"


def table(num_rows: int, draw: np.random.Generator) -> pa.Table:
    """Columns of numbers that have no short text; the last is the target."""
    columns = {f"c{index}": draw.normal(size=num_rows) for index in range(COLUMNS - 1)}
    return pa.table(columns | {"y": sum(columns.values())})


def csv_file(path: Path, size: float) -> None:
    """A CSV of about `size` bytes."""
    made = table(int(size / (19.5 * COLUMNS)), np.random.default_rng(0))
    pa.csv.write_csv(made, path)


def parquet_file(path: Path, size: float) -> None:
    """A Parquet file of about `size` bytes in row groups of a million rows."""
    draw, left = np.random.default_rng(0), int(size / (8 * COLUMNS))
    with pa.parquet.ParquetWriter(path, table(1, draw).schema, compression="none", use_dictionary=False) as writer:
        while left > 0:
            writer.write_table(table(min(left, 10**6), draw), row_group_size=10**6)
            left -= 10**6


def pictures(folder: Path, count: int) -> None:
    """JPEG files of 256 × 256 pixels in two classes."""
    draw = np.random.default_rng(0)
    for index in range(count):
        path = folder / ("left" if index % 2 else "right") / f"{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        smooth = draw.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(smooth).resize((256, 256), Image.Resampling.BICUBIC).save(path, quality=90)


def flip(path: Path, share: float) -> Callable[[], None]:
    """A change of one byte, at a share of the file."""

    def change() -> None:
        with path.open("r+b") as file:
            file.seek(int(path.stat().st_size * share))
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(b"7" if byte == b"3" else b"3")

    return change


def repaint(path: Path) -> Callable[[], None]:
    """A change of one pixel."""

    def change() -> None:
        with Image.open(path) as picture:
            pixels = np.array(picture)
        pixels[100, 100] ^= 255
        size = path.stat().st_size
        Image.fromarray(pixels).save(path, quality=90)
        data = path.read_bytes()
        path.write_bytes(data[:size] if len(data) > size else data + bytes(size - len(data)))  # of the same size

    return change


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="for the data, 2.5 GB; what is there is used again")
    parser.add_argument("--small", action="store_true")
    args = parser.parse_args()
    scale, folder = 0.05 if args.small else 1.0, args.folder / ("small" if args.small else "full")
    folder.mkdir(parents=True, exist_ok=True)
    csv, parquet, images = folder / "t.csv", folder / "t.parquet", folder / "pictures"
    for path, make in (
        (csv, lambda: csv_file(csv, 300e6 * scale)),
        (parquet, lambda: parquet_file(parquet, 2e9 * scale)),
        (images, lambda: pictures(images, int(5000 * scale))),
    ):
        if not path.exists():
            make()
    quick = ["threads=1", "device=cpu"]
    measure("digits", quick, None)
    of_table = ["dataset=table", "dataset.target=y", *quick]
    measure(f"CSV {csv.stat().st_size / 1e6:,.0f} MB", [*of_table, f"dataset.path={csv}"], flip(csv, 0.7))
    words = [*of_table, f"dataset.path={parquet}", "loader.in_memory=false"]
    measure(f"Parquet {parquet.stat().st_size / 1e6:,.0f} MB", words, flip(parquet, 0.7))
    count = len(list(images.rglob("*.jpg")))
    words = ["dataset=images", f"dataset.path={images}", "dataset.size=64", *quick]
    measure(f"{count:,} pictures", words, repaint(sorted(images.rglob("*.jpg"))[count // 2]))


if __name__ == "__main__":
    main()
