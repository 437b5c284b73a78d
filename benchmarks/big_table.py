"""Large tables.

    python benchmarks/big_table.py [--gigabytes 2] [--max-steps 2000]
    python benchmarks/big_table.py --csv [--rounds 5]

The first trains on a Parquet table larger than memory, predicts it, and prints the peak memory of both beside torch's
own. The file is written to a temporary folder, one row group after another: 30 columns of normal float32 numbers, two
of text, and a target. Peak memory is ru_maxrss of the process; torch's own is that of a process that takes one step.

The second reads a CSV of 590,000 rows of 20 numbers and a target (116 MB), and the same rows as Parquet. It prints the
`data` seconds of the run's footer beside those of pyarrow.csv.read_csv, each the least of some rounds in turns, and the
peak memory of both runs.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
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
READ = """
import time, pyarrow.csv
begun = time.perf_counter()
pyarrow.csv.read_csv("rows.csv")
open("seconds", "w").write(str(time.perf_counter() - begun))
"""
TRAINER = [sys.executable, "-m", "trainer"]


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


def larger_than_memory(folder: Path, gigabytes: float, max_steps: str) -> None:
    """Make, train, predict, print."""
    num_rows = make(folder / "big.parquet", gigabytes * 1e9)
    size = (folder / "big.parquet").stat().st_size
    print(f"table    {num_rows:,} rows, {size / 1e9:.2f} GB", flush=True)
    words = ["dataset=table", "dataset.path=big.parquet", "dataset.target=y", "epochs=1", "loader.batch_size=4096"]
    words += ["loader.eval_batch_size=4096", "dataset.val_fraction=0.05", f"max_steps={max_steps}"]
    torch_alone, _ = peak([sys.executable, "-c", TORCH], folder)
    print(f"torch    {torch_alone:,.0f} MiB", flush=True)
    most, seconds = peak([*TRAINER, "train", *words, "report=false"], folder)
    print(f"train    {most:,.0f} MiB: {most - torch_alone:,.0f} over torch's own; {seconds:.0f} s", flush=True)
    most, seconds = peak([*TRAINER, "predict", "latest", "big.parquet", "-o", "out.parquet"], folder)
    rows = pyarrow.parquet.ParquetFile(folder / "out.parquet").metadata.num_rows
    print(f"predict  {most:,.0f} MiB: {most - torch_alone:,.0f} over torch's own; {seconds:.0f} s; {rows:,} rows")


def text_beside_parquet(folder: Path, rounds: int) -> None:
    """Make, read in turns, print."""
    x = np.random.default_rng(0).standard_normal((20, 590_000)).round(6)
    y = (x[0] * 3 - x[1] + x[2:].sum(0) / 2).round(6)
    table = pa.table({f"x{i}": values for i, values in enumerate(x)} | {"y": y})
    pyarrow.csv.write_csv(table, folder / "rows.csv")
    pyarrow.parquet.write_table(table, folder / "rows.parquet")
    print(f"table    {len(y):,} rows, {(folder / 'rows.csv').stat().st_size / 1e6:.0f} MB of CSV", flush=True)
    seconds: dict[str, list[float]] = {"pyarrow": [], "csv": [], "parquet": []}
    peaks: dict[str, list[float]] = {"csv": [], "parquet": []}
    for _ in range(rounds):
        peak([sys.executable, "-c", READ], folder)
        seconds["pyarrow"].append(float((folder / "seconds").read_text()))
        for kind, most in peaks.items():
            words = ["dataset=table", f"dataset.path=rows.{kind}", "dataset.target=y", "max_steps=1", "report=false"]
            most.append(peak([*TRAINER, "train", *words], folder)[0])
            spent = json.loads((folder / "outputs/latest/summary.json").read_text())["seconds"]
            seconds[kind].append(spent["data"])
    least = {kind: min(all_seconds) for kind, all_seconds in seconds.items()}
    print(", ".join(f"{kind} {value:.2f} s" for kind, value in least.items()))
    print(f"data     CSV / pyarrow's read_csv {least['csv'] / least['pyarrow']:.2f}")
    print(f"peak     CSV {max(peaks['csv']):,.0f} MiB, Parquet {max(peaks['parquet']):,.0f} MiB")


def main() -> None:
    """Measure in a temporary folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=2)
    parser.add_argument("--max-steps", default="null")
    parser.add_argument("--csv", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        if args.csv:
            text_beside_parquet(Path(name), args.rounds)
        else:
            larger_than_memory(Path(name), args.gigabytes, args.max_steps)


main()
