"""The conditions around the steps of the MNIST-sized job: watching and saving, memory, and a busy machine.

    python benchmarks/conditions.py [--epochs 5]

watching: `trainer train` on a pseudo-terminal; the share of live screen, metrics files and checkpoints in the time from
the first step to the end, and that of each listener. memory: the peak of that process beyond that of a bare torch
script. busy: samples/s with a busy process on every core, against alone.
"""

import argparse
import json
import os
import pty
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from timing import ENVIRONMENT

BARE = "import torch; o = torch.optim.Adam([torch.zeros(3, requires_grad=True)], fused=True); o.step()"
PEAK = "import resource; print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
TRAIN = """
import json, sys, time
from trainer.run import runner
from trainer.cli import main

spent = {}

def timed(name):
    class Timed(getattr(runner, name)):
        def __call__(self, event):
            begun = time.perf_counter()
            super().__call__(event)
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - begun
    setattr(runner, name, Timed)

for name in ("Console", "MetricsFiles", "Checkpoints", "Guards"):
    timed(name)
main(sys.argv[1:])
print("spent", json.dumps(spent))
"""


def on_terminal(command: list[str], folder: str) -> str:
    """The output of a command on a pseudo-terminal."""
    ours, theirs = pty.openpty()
    said: list[bytes] = []

    def listen() -> None:
        try:
            while data := os.read(ours, 65536):
                said.append(data)
        except OSError:  # the other end is closed
            pass

    environment = ENVIRONMENT | {"TERM": "xterm-256color"}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)  # noqa: S603
    os.close(theirs)
    thread = threading.Thread(target=listen)
    thread.start()
    if process.wait() != 0:
        sys.exit(b"".join(said[-3:]).decode())
    thread.join()
    os.close(ours)
    return b"".join(said).decode()


def train(epochs: int) -> tuple[dict[str, Any], int]:
    """Train. Returns summary.json with the seconds of each listener, and the peak memory of the process in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", "dataset=own", "dataset._target_=job.Pictures", f"dataset.val_fraction={1 / 7}"]
        words += ["optimizer=adam", "optimizer.lr=0.001", f"epochs={epochs}", "report=false"]
        said = on_terminal([sys.executable, "-c", TRAIN + PEAK, *words, "checkpoint.every_seconds=30"], folder)
        run = next(Path(folder).rglob("summary.json")).parent
        summary = json.loads((run / "summary.json").read_text())
        summary["listeners"] = json.loads(said.split("spent ")[-1].splitlines()[0])
    return summary, int(said.split("peak ")[-1].split()[0])


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5)
    args = parser.parse_args()
    summary, peak = train(args.epochs)
    alone, spent, taken = (summary[name] for name in ("samples_per_second", "seconds", "listeners"))
    whole = spent["train"] + spent["eval"] + sum(taken.values())
    shares = {name: seconds / whole for name, seconds in taken.items()}
    watching = sum(shares[name] for name in ("Console", "MetricsFiles", "Checkpoints"))
    each = ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
    print(f"watching  {watching:.1%} of {whole:.2f} s; by listener: {each}")
    with tempfile.TemporaryDirectory() as folder:
        bare = int(on_terminal([sys.executable, "-c", f"{BARE}; {PEAK}"], folder).split("peak ")[-1].split()[0])
    print(f"memory    {peak / 1e6:,.0f} MB at most, {(peak - bare) / 1e6:,.0f} MB beyond a bare torch script")
    spin = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(spin) for _ in range(os.cpu_count() or 1)]  # noqa: S603
    try:
        busy = train(args.epochs)[0]["samples_per_second"]
    finally:
        for process in others:
            process.kill()
            process.wait()
    print(f"busy      {busy:,.0f} samples/s, alone {alone:,.0f}: {alone / busy:.2f} times slower")


if __name__ == "__main__":
    main()
