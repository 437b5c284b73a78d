"""All of training on two parameters: y = 2x + 1."""

from collections.abc import Iterator
from typing import Any

from trainer.chapter.experiment import Experiment
from trainer.data.synthetic import Line
from trainer.disk import history
from trainer.report import measured
from trainer.terminal.chart import chart


def show(experiment: Experiment) -> Iterator[Any]:
    """w, b and the losses of the run, beside the true line."""
    result = experiment.train()
    curves = history.read(result.run_dir).curves
    yield from chart(curves, title="loss", height=6)
    yield from measured.lines(result.measured, Line.truth, {})
    for name in ("w", "b", "loss", "steps"):
        yield name, result.measured.get(name)
