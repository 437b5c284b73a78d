"""Your own Dataset: batches, orders, workers."""

from collections.abc import Iterator
from typing import Any

from trainer.chapter.experiment import Experiment
from trainer.state import TrainState


def show(experiment: Experiment) -> Iterator[Any]:
    """The loader in this process; then a run without and with workers."""
    here = "loader.num_workers=0"
    run = experiment.build(here)
    first, second = epoch(run, 0), epoch(run, 1)
    yield "batches, rows in the last", [len(first), len(first[-1])]
    rows = sorted(row for batch in first + second for row in batch)
    once = len(rows) == 2 * len(set(rows)) and rows[::2] == rows[1::2]
    yield "each row once an epoch", once
    again = epoch(experiment.build(here), 0)
    yield "same order: epoch, seed", [second == first, again == first]

    alone, helped = experiment.train(here), experiment.train()
    waited, shared = (run.seconds["train"] for run in (alone, helped))
    workers = experiment.config().loader.num_workers
    yield f"0 workers: {waited:.2f} s; {workers} workers: {shared:.2f} s"
    yield "workers: times as fast", waited / shared
    yield "same loss with workers", alone.last == helped.last


def epoch(run: TrainState, number: int) -> list[list[float]]:
    """The inputs of an epoch in the model's order, batch by batch."""
    windows = run.train_batches.windows(number)
    return [x.flatten().tolist() for window in windows for x, *_ in window]
