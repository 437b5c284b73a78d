"""A Parquet table larger than memory: train on it, predict it, and print the peak memory of both beside torch's own.

    python benchmarks/big_table.py [--gigabytes 2] [--max-steps 2000]

The file is written to a temporary folder, one row group after another: 30 columns of normal float32 numbers, two of
text, and a target. Peak memory is ru_maxrss of the process; torch's own is that of a process that takes one step.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from timing import ENVIRONMENT

ROWS = 100_000  # of a row group
TORCH = """
import torch
model = torch.nn.Linear(9, 1)
optimizer = torch.optim.AdamW(model.parameters())
model(torch.ones(4, 9)).sum().backward()
optimizer.step()
"""


def make(path: Path, num_bytes: float) -> int:
    """Write the table. Returns its number of rows."""
    chance, num_rows = np.random.default_rng(0), 0
    cities, colours = (pa.array([f"{word} {i}" for i in range(n)]) for word, n in (("city", 50), ("colour", 5)))
    writer = None
    while writer is None or path.stat().st_size < num_bytes:
        numbers = chance.standard_normal((30, ROWS), dtype=np.float32)
        city, colour = chance.integers(0, 50, ROWS), chance.integers(0, 5, ROWS)
        y = numbers[0] * 3 - numbers[1] + colour + chance.standard_normal(ROWS, dtype=np.float32) / 10
        columns = {f"x{i}": pa.array(values) for i, values in enumerate(numbers)}
        columns |= {"city": cities.take(pa.array(city)), "colour": colours.take(pa.array(colour)), "y": pa.array(y)}
        table = pa.table(columns)
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema, use_dictionary=["city", "colour"])
        writer.write_table(table)
        num_rows += ROWS
    writer.close()
    return num_rows


def peak(command: list[str], folder: Path) -> tuple[float, float]:
    """Run a command. Returns (peak MiB, seconds)."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=ENVIRONMENT)  # noqa: S603 - our own words
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {process.returncode}")
    return usage.ru_maxrss / 1024, time.perf_counter() - begun


def main() -> None:
    """Make, train, predict, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--max-steps", default="null")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        num_rows = make(folder / "big.parquet", args.gigabytes * 1e9)
        size = (folder / "big.parquet").stat().st_size
        print(f"table    {num_rows:,} rows, {size / 1e9:.2f} GB", flush=True)
        trainer = [sys.executable, "-m", "trainer"]
        words = ["dataset=table", "dataset.path=big.parquet", "dataset.target=y", "epochs=1", "loader.batch_size=4096"]
        words += ["loader.eval_batch_size=4096", "dataset.val_fraction=0.05", f"max_steps={args.max_steps}"]
        torch_alone, _ = peak([sys.executable, "-c", TORCH], folder)
        print(f"torch    {torch_alone:,.0f} MiB", flush=True)
        most, seconds = peak([*trainer, "train", *words, "report=false"], folder)
        print(f"train    {most:,.0f} MiB: {most - torch_alone:,.0f} over torch's own; {seconds:.0f} s", flush=True)
        most, seconds = peak([*trainer, "predict", "latest", "big.parquet", "-o", "out.parquet"], folder)
        rows = pyarrow.parquet.ParquetFile(folder / "out.parquet").metadata.num_rows
        print(f"predict  {most:,.0f} MiB: {most - torch_alone:,.0f} over torch's own; {seconds:.0f} s; {rows:,} rows")


main()
