"""Four backward passes over 16 rows are one over 64."""

from collections.abc import Iterator
from typing import Any

from safetensors.torch import load_file

from trainer.chapter.experiment import Experiment
from trainer.disk import layout


def show(experiment: Experiment) -> Iterator[Any]:
    """The same run in small batches that accumulate, and in large ones."""
    config = experiment.config()
    passes, rows = config.accumulate, config.loader.batch_size
    at_once = ("accumulate=1", f"loader.batch_size={passes * rows}")
    runs = [experiment.train(), experiment.train(*at_once)]
    yield "passes, rows in each", [passes, rows]
    yield "steps: small, whole", [run.measured["steps"] for run in runs]
    small, large = (load_file(run.run_dir / layout.MODEL) for run in runs)
    apart = [(small[name] - large[name]).abs().max().item() for name in small]
    yield "weights: small - whole", max(apart)
