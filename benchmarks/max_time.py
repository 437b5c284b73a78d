"""How long runs take that are given a time: max_time itself, and the max_steps that plan prints for it.

    python benchmarks/max_time.py [--rounds 3]

The bundled digits, from process start to exit. `max_time=10s` should end within 12 s, evaluated and saved; the
max_steps for 20 s should take between 16 and 22 s.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import ENVIRONMENT

TRAIN = ["train", "epochs=100000"]


def trainer(words: list[str], folder: str) -> tuple[str, float]:
    """What a command prints, and its seconds from process start to exit."""
    begun = time.perf_counter()
    command = [sys.executable, "-m", "trainer", *words]
    done = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=True)  # noqa: S603
    return done.stdout, time.perf_counter() - begun


def main() -> None:
    """Print two lines a round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    for _ in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            _, seconds = trainer([*TRAIN, "max_time=10s"], folder)
            run = Path(folder) / "outputs/latest"
            summary = json.loads((run / "summary.json").read_text())
            rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            evaluated = rows[-1].get("eval") and rows[-1]["step"] == summary["steps"]
            saved = (run / f"checkpoints/step-{summary['steps']:08d}").is_dir()
            print(f"max_time=10s    {seconds:5.1f} s, {summary['steps']:,} steps, evaluated {evaluated}, saved {saved}")
            planned, _ = trainer(["plan", "epochs=100000", "max_time=20s"], folder)
            if not (words := re.findall(r"max_steps=\d+", planned)):
                print("plan for 20 s   not one step fits: this machine is too busy")
                continue
            _, seconds = trainer([*TRAIN, *words], folder)
            print(f"plan for 20 s   {seconds:5.1f} s, {words[0]}")


if __name__ == "__main__":
    main()
