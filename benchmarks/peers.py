"""The same job side by side: trainer, loops by hand and other tools, in turn, several rounds.

    pip install '.[benchmarks]' && python benchmarks/peers.py [--rounds 5] [--batch 64 512] [--markdown]

An MLP 784-128-10 with Adam on 60,000 MNIST-sized pictures, validation on 10,000 after each of three epochs. Each
contestant (benchmarks/peers/) runs in its own process with its usual settings. samples/s: over an epoch with its
validation, the median over rounds of the epochs after the first. first: the extra time of the first epoch (compiling,
warming up). ratio: the median of this contestant's ratios to trainer, round by round. limit: the share of the speed of
the bare matrix products of the same steps, on all cores, in the same rounds.
"""

import argparse
import datetime
import json
import math
import os
import platform
import sys
from statistics import median
from typing import Any

import timing

SAMPLES = 60_000
CORES = os.cpu_count() or 1

CONTESTANTS = {  # name: script, its words, environment
    "matrix products alone": ("products.py", ["--threads", "0"], {}),
    "matrix products, 1 thread": ("products.py", ["--threads", "1"], {}),
    "trainer": ("trainer_run.py", [], {}),
    "trainer compile=step": ("trainer_run.py", ["compile=step"], {}),
    f"trainer compile=step threads={CORES}": ("trainer_run.py", ["compile=step", f"threads={CORES}"], {}),
    "loop by hand": ("hand.py", [], {}),
    "loop by hand, 1 thread": ("hand.py", [], {"OMP_NUM_THREADS": "1"}),
    "loop, DataLoader": ("plain.py", [], {}),
    "torchvision + DataLoader": ("recipe.py", [], {}),
    "Lightning": ("lightning_fit.py", [], {}),
    "Accelerate": ("accelerate_loop.py", [], {}),
    "Ignite": ("ignite_engine.py", [], {}),
    "skorch": ("skorch_fit.py", [], {}),
    "Keras on torch": ("keras_fit.py", [], {"KERAS_BACKEND": "torch"}),
    "Keras on JAX": ("keras_fit.py", [], {"KERAS_BACKEND": "jax"}),
    "JAX scan": ("jax_scan.py", [], {}),
}


def run(name: str, batch: int, epochs: int) -> dict[str, Any] | str:
    """The report of one contestant, or the last line of its error."""
    script, words, extra = CONTESTANTS[name]
    script = str(timing.HERE / "peers" / script)
    done, _ = timing.run([sys.executable, script, f"--batch={batch}", f"--epochs={epochs}", *words], **extra)
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["no message"])[-1]
    report: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return report


def rate(report: dict[str, Any]) -> float:
    """Samples a second over the epochs after the first."""
    return SAMPLES / median(report["seconds"][1:])


def table(rounds: list[dict[str, dict[str, Any]]], markdown: bool) -> list[str]:
    """A line for each contestant that finished a round, fastest first."""
    rows = []
    for name in CONTESTANTS:
        reports = [(reports[name], reports) for reports in rounds if name in reports]
        if not reports:
            continue
        ratios = (
            median([rate(report) / rate(others[base]) for report, others in reports if base in others] or [math.nan])
            for base in ("trainer", "matrix products alone")
        )
        speed = median(rate(report) for report, _ in reports)
        first = median(report["seconds"][0] - median(report["seconds"][1:]) for report, _ in reports)
        losses = [f"{median(report[key] for report, _ in reports):.4f}" for key in ("loss", "val_loss")]
        rows.append((speed, [name, f"{speed:,.0f}", *(f"{r:.2f}" for r in ratios), f"{first:.1f}", *losses]))
    head = ["", "samples/s", "ratio", "limit", "first, s", "loss", "val loss"]
    lines = [head, *(cells for _, cells in sorted(rows, reverse=True))]
    if markdown:
        return ["| " + " | ".join(cells) + " |" for cells in [lines[0], ["---"] * len(head), *lines[1:]]]
    return [f"{cells[0]:<34}" + "".join(f"{cell:>11}" for cell in cells[1:]) for cells in lines]


def main() -> None:
    """Run all rounds and print a table for each batch size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=3, help="at least 2")
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 512])
    parser.add_argument("--only", nargs="+", metavar="WORD", help="contestants with one of these words in their names")
    parser.add_argument("--markdown", action="store_true", help="the tables as the README has them")
    args = parser.parse_args()
    chosen = [name for name in CONTESTANTS if not args.only or any(word in name for word in args.only)]
    for batch in args.batch:
        rounds: list[dict[str, dict[str, Any]]] = []
        for number in range(args.rounds):
            rounds.append({})
            for name in chosen:
                report = run(name, batch, args.epochs)
                if isinstance(report, str):
                    print(f"{name}: {report}", file=sys.stderr, flush=True)
                    continue
                rounds[-1][name] = report
                line = f"round {number + 1}  {name:<34} {rate(report):>10,.0f}  load {os.getloadavg()[0]:.1f}"
                print(line, file=sys.stderr, flush=True)
        print(f"\nbatch {batch}, {args.rounds} rounds of {args.epochs} epochs, {datetime.date.today()}, {CORES} cores")
        print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}\n")
        print("\n".join(table(rounds, args.markdown)), flush=True)


if __name__ == "__main__":
    main()
