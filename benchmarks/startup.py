"""A small job from process start to exit: trainer on digits against a bare script and Lightning's, in turn.

    pip install '.[benchmarks]' && python benchmarks/startup.py [--rounds 5]

Digits, an MLP 64-128-10, Adam, batch 64, 20 epochs with validation. All keep the weights; trainer also writes its run
folder, with report=true a picture too. The median of each, and the median of the ratios to the bare script.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
TRAIN = ["-m", "trainer", "train", "optimizer=adam", "optimizer.lr=0.001"]
COMMANDS = {
    "bare script": [str(HERE / "peers/hand.py"), "--digits", "--epochs=20"],
    "trainer report=false": [*TRAIN, "report=false"],
    "trainer": TRAIN,
    "Lightning": [str(HERE / "peers/lightning_fit.py"), "--digits", "--epochs=20"],
}


def seconds(words: list[str]) -> float:
    """Wall-clock time of a command in a folder of its own."""
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        done = subprocess.run(  # noqa: S603 - our own words
            [sys.executable, *words],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        taken = time.perf_counter() - begun
    if done.returncode != 0:
        print(f"{' '.join(words)}: {(done.stderr.strip().splitlines() or ['?'])[-1]}", file=sys.stderr)
    return taken if done.returncode == 0 else float("nan")


def main() -> None:
    """Print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    rounds = [{name: seconds(words) for name, words in COMMANDS.items()} for _ in range(args.rounds)]
    print(f"{args.rounds} rounds, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    for name in COMMANDS:
        ratio = median(taken[name] / taken["bare script"] for taken in rounds)
        print(f"{name:<22}{median(taken[name] for taken in rounds):7.2f} s   {ratio:.2f} times the bare script's")


if __name__ == "__main__":
    main()
