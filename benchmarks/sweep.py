"""Sweeps side by side: trainer's local launcher against Hydra's basic launcher with Lightning, on the same jobs.

    pip install lightning && python benchmarks/sweep.py [--jobs 16] [--rounds 3]

Digits, an MLP 64-128-10, AdamW, batch 64, 20 epochs; four learning rates by jobs / 4 seeds. Both write a log of
metrics and a checkpoint for each job. They take turns, so that a busy machine slows down both; the least time counts.
"""

import argparse
import importlib.util
import os
import platform
import sys

from timing import HERE, run

RATES = "1e-4,3e-4,1e-3,3e-3"


def seconds(command: list[str]) -> float:
    """Wall-clock time of a command, start-up included; the benchmark ends where it fails."""
    done, taken = run(command)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return taken


def main() -> None:
    """Time both and print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=16, help="a multiple of 4")
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    seeds = ",".join(map(str, range(args.jobs // 4)))
    ours = [sys.executable, "-m", "trainer", "train", "-m", f"optimizer.lr={RATES}", f"seed={seeds}", "epochs=20"]
    theirs = [sys.executable, str(HERE / "lightning_sweep.py"), "-m", f"lr={RATES}", f"seed={seeds}"]
    contestants = {"trainer": ours, "hydra basic + lightning": theirs}
    if not importlib.util.find_spec("lightning"):
        del contestants["hydra basic + lightning"]
        print("lightning is not installed: trainer alone")
    best = dict.fromkeys(contestants, float("inf"))
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    print(f"{args.jobs} jobs, {machine}")
    for number in range(args.rounds):
        for name, command in contestants.items():
            taken = seconds(command)
            best[name] = min(best[name], taken)
            print(f"round {number + 1}  {name:<24} {taken:7.1f} s  load {os.getloadavg()[0]:.1f}", flush=True)
    for name, taken in best.items():
        print(f"best     {name:<24} {taken:7.1f} s  {taken / best['trainer']:.1f} times trainer's")


if __name__ == "__main__":
    main()
