"""Four backward passes over 16 rows are one over 64."""

from collections.abc import Iterator
from typing import Any

from safetensors.torch import load_file

from trainer.chapter.experiment import Experiment
from trainer.disk import layout


def show(experiment: Experiment) -> Iterator[Any]:
    """The same run in small batches that accumulate, and in whole ones."""
    config = experiment.config()
    whole = config.loader.batch_size * config.accumulate
    at_once = ("accumulate=1", f"loader.batch_size={whole}")
    runs = [experiment.train(), experiment.train(*at_once)]
    yield (
        "passes, rows in each",
        [config.accumulate, config.loader.batch_size],
    )
    yield "steps: small, whole", [run.measured["steps"] for run in runs]
    small, large = (load_file(run.run_dir / layout.MODEL) for run in runs)
    apart = [(small[name] - large[name]).abs().max().item() for name in small]
    yield "weights: small - whole", max(apart)
