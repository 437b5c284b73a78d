"""A small job from process start to exit: trainer on digits against a bare script and Lightning's, in turn.

    pip install '.[benchmarks]' && python benchmarks/startup.py [--rounds 5]

Digits, an MLP 64-128-10, Adam, batch 64, 20 epochs with validation. All save the weights; trainer also writes its run
folder and, with report=true, a picture. Prints the median of each, and the median of its ratios to the bare script.
"""

import argparse
import os
import platform
import sys
from statistics import median

from timing import HERE, run

TRAIN = ["-m", "trainer", "train", "optimizer=adam", "optimizer.lr=0.001"]
COMMANDS = {
    "bare script": [str(HERE / "peers/hand.py"), "--digits", "--epochs=20"],
    "trainer report=false": [*TRAIN, "report=false"],
    "trainer": TRAIN,
    "Lightning": [str(HERE / "peers/lightning_fit.py"), "--digits", "--epochs=20"],
}


def seconds(words: list[str]) -> float:
    """Wall-clock time of a Python command; NaN where it fails."""
    done, taken = run([sys.executable, *words])
    if done.returncode == 0:
        return taken
    print(f"{' '.join(words)}: {(done.stderr.strip().splitlines() or ['?'])[-1]}", file=sys.stderr)
    return float("nan")


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
