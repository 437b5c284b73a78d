"""ceil(N/B) steps an epoch, or floor(N/B): counted, not computed."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader, TensorDataset

from trainer.chapter.experiment import Experiment


def show(experiment: Experiment) -> Iterator[Any]:
    """Real loaders around the config's N and B; then a complete run."""
    config = experiment.config()
    num_rows = config.dataset["num_points"]
    sizes = (num_rows - 1, num_rows, num_rows + 1)
    for drop_last, name in ((False, "ceil"), (True, "floor")):
        for factor, times in ((1, ""), (2, "2")):
            size = factor * config.loader.batch_size
            counts = [count(rows, size, drop_last) for rows in sizes]
            yield f"rows {sizes}, batches of {size}, {drop_last=}: {counts}"
            yield f"{name}(N/{times}B), N-1 to N+1", counts
    words = ("loader.drop_last=false", "loader.drop_last=true")
    steps = [experiment.train(word).measured["steps"] for word in words]
    yield "whole run, with drop_last", steps


def count(num_rows: int, batch_size: int, drop_last: bool) -> int:
    """The number of batches that a DataLoader really gives."""
    dataset = TensorDataset(torch.zeros(num_rows, 1))
    loader = DataLoader(dataset, batch_size, drop_last=drop_last)
    return sum(1 for _ in loader)
