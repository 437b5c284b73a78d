"""All of training on two parameters: y = 2x + 1."""

from collections.abc import Iterator
from typing import Any

from trainer.chapter.experiment import Experiment
from trainer.data.synthetic import Line
from trainer.disk import history
from trainer.report import measured
from trainer.terminal.chart import chart


def show(experiment: Experiment) -> Iterator[Any]:
    """w, b and the losses of the run, beside the truth."""
    result = experiment.train()
    yield from chart(
        history.read(result.run_dir).curves, title="loss", height=6
    )
    yield from measured.lines(result.measured, Line.truth, {})
    yield from (
        (name, result.measured.get(name))
        for name in ("w", "b", "loss", "steps")
    )
