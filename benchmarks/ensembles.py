"""What the mean of five folds is worth: its test score beside the mean and the best of its members.

    python benchmarks/ensembles.py [--seeds 10] [key=value …]

Each line is a bundled data set, over test splits of 20% that no fold has seen. One cross-validation is trained for each
seed, which chooses the test rows and the cut, and `eval --top 1` measures it. `beats` counts the seeds in which the
ensemble is better than the mean of its members, and better than the best of them.
"""

import argparse
import re
import statistics
import sys
import tempfile
from pathlib import Path

from commands import trainer

METRICS = {"breast_cancer": "acc", "digits": "acc", "iris": "acc", "wine": "acc", "diabetes": "mae"}


def measured(dataset: str, metric: str, seed: int, words: list[str]) -> tuple[float, float, float]:
    """(The ensemble's test score, the mean of its members', the best of theirs)."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        split = ["dataset.test_fraction=0.2", f"dataset.test_seed={seed}", f"dataset.split_seed={seed}"]
        job = ["experiment=cv", f"dataset={dataset}", *split, "threads=1", "report=false"]
        trainer(folder, "train", "-m", *job, *words)
        text = trainer(folder, "eval", "latest", "--top", "1")
    found = re.search(rf"^test/{metric} +(\S+) +members (\S+), (\S+) to (\S+)$", text, re.MULTILINE)
    if found is None:
        sys.exit(f"{dataset}: no {metric} in\n{text}")
    ensemble, mean, lowest, highest = map(float, found.groups())
    return ensemble, mean, lowest if metric == "mae" else highest


def main() -> None:
    """A line for each data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    args, words = parser.parse_known_args()
    print(f"{'data':<14} {'metric':<6} {'ensemble':>17} {'mean of five':>17} {'best of five':>17}  beats")
    for dataset, metric in METRICS.items():
        found = [measured(dataset, metric, seed, words) for seed in range(args.seeds)]
        sign = -1 if metric == "mae" else 1
        beats = [sum(sign * (one[0] - one[place]) > 0 for one in found) for place in (1, 2)]
        shown = [f"{statistics.fmean(part):.4f} ± {statistics.stdev(part):.4f}" for part in zip(*found, strict=True)]
        scores = "  ".join(f"{one:>17}" for one in shown)
        print(f"{dataset:<14} {metric:<6} {scores}  {beats[0]}, {beats[1]}", flush=True)


if __name__ == "__main__":
    main()
