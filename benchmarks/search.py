"""What Hyperband saves, beside the median pruner: the training steps until a search has found as good a value.

    python benchmarks/search.py [--seeds 5] [--trials 40]

Three searches over bundled data, TPE, jobs one after another, each evaluated after each of 27 epochs, by val/loss. The
median pruner searches first. Hyperband then searches, with the same seed, until it has a value as good as the best of
that search, or has taken twice as many steps as that whole search. The searches are the real ones (trainer/sweep/
study.py). The jobs are trained here, without files; their numbers are rounded, so that equal ones are trained once and
a search learns from their curve again.
"""

import argparse
import itertools
import math
import statistics
from collections.abc import Iterator
from typing import Any

import torch

from trainer.build.build import build
from trainer.compare.rows import Row
from trainer.config import compose, files
from trainer.config.search_space import Space
from trainer.config.settings import Settings
from trainer.config.source import Source
from trainer.disk.sweep_plan import Job
from trainer.events import Evaluated
from trainer.loop import train
from trainer.sweep.study import Study

EPOCHS = 27  # 3³, so Hyperband has four brackets
METRIC = "val/loss"
AXES = [
    "optimizer.lr=tag(log,interval(1e-5,1e-1))",
    "model.dropout=interval(0.0,0.6)",
    "model.hidden=[16],[64],[256],[64,64]",
]
SEARCHES = {name: [f"dataset={name}", *AXES] for name in ("digits", "breast_cancer", "diabetes")}


class Asked:
    """A sweep's task that keeps the space of the search."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def search(self, space: Space, *rest: Any) -> None:
        self.space = space.planned(EPOCHS)


def space_of(words: list[str], pruner: str, seed: int) -> Space:
    """The space of a search that was typed."""
    own = ["hydra/sweeper=optuna", f"hydra.sweeper.pruner={pruner}", f"hydra.sweeper.seed={seed}"]
    task = Asked(Source([*own, *words, f"epochs={EPOCHS}", f"monitor={METRIC}", "threads=1"], files.roots()))
    compose.sweep(task.source, task)
    return task.space


def rounded(trial: dict[str, str]) -> dict[str, str]:
    """A trial with a learning rate in thirds of a decade, and a dropout in thirds of its interval."""
    lr = 10 ** (round(3 * math.log10(float(trial["optimizer.lr"]))) / 3)
    dropout = round(float(trial["model.dropout"]) / 0.2) * 0.2
    return trial | {"optimizer.lr": repr(min(lr, 0.1)), "model.dropout": repr(min(dropout, 0.6))}


CURVES: dict[str, list[tuple[int, float]]] = {}  # by the config of a job


def evaluations(job: Job) -> list[tuple[int, float]]:
    """Train a job, or know its curve already. Returns (step, metric) of each evaluation."""
    if job.identity not in CURVES:
        run, _ = build(Settings(job.data, Source(job.overrides)).check())
        events = (event for event in train(run) if isinstance(event, Evaluated))
        CURVES[job.identity] = [(event.step, event.metrics[METRIC]) for event in events]
    return CURVES[job.identity]


def search(space: Space) -> Iterator[list[tuple[int, float]]]:
    """Run a search without an end. Yields the evaluations of each job: (steps of the search so far, metric)."""
    study, before, number = Study(space, METRIC, "min"), 0, 0
    while True:
        job, status = space.job(number, rounded(study.ask(number))), "ok"
        found: list[tuple[int, float]] = []
        for step, value in evaluations(job):
            found.append((before + step, value))
            if len(found) < EPOCHS and study.prunes(job, [value]):
                status = "pruned"
                break
        values = [value for _, value in found]
        metrics = {METRIC: min(values)} if all(map(math.isfinite, values)) else {}
        study.tell(job, Row("", {}, status, METRIC, metrics, 0.0, 0, [], None), values)
        before, number = found[-1][0], number + 1
        yield found


def main() -> None:
    """Print a line for each search and seed, and the ratio of all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=40, help="of the median pruner")
    args = parser.parse_args()
    torch.set_num_threads(1)
    ratios = []
    print(f"{'':<15} seed {'best':>8} {'median':>9} {'hyperband':>9} {'ratio':>6} {'at as many steps':>17}")
    for name, words in SEARCHES.items():
        for seed in range(args.seeds):
            jobs = itertools.islice(search(space_of(words, "median", seed)), args.trials)
            median = [point for found in jobs for point in found]
            best, total = min(value for _, value in median), median[-1][0]
            at = next(step for step, value in median if value == best)
            hyperband: list[tuple[int, float]] = []
            for found in search(space_of(words, "hyperband", seed)):
                hyperband += found
                reached = next((step for step, value in hyperband if value <= best), None)
                if hyperband[-1][0] >= (total if reached else 2 * total):
                    break
            ratios.append((reached or 2 * total) / at)
            equal = min(value for step, value in hyperband if step <= total)
            steps = f"{reached:,}" if reached else f">{2 * total:,}"
            figures = f"{best:>8.4f} {at:>9,} {steps:>9} {ratios[-1]:>6.2f} {equal:>17.4f}"
            print(f"{name:<15} {seed:>4} {figures}", flush=True)
    by_search = [ratios[first : first + args.seeds] for first in range(0, len(ratios), args.seeds)]
    for name, found in zip(SEARCHES, by_search, strict=True):
        print(f"{name:<15} ratio of the steps: {statistics.geometric_mean(found):.2f} (geometric mean)")
    print(f"{'all':<15} ratio of the steps: {statistics.geometric_mean(ratios):.2f}")


main()
