"""Processes that share each batch take the same steps as one process."""

from collections.abc import Iterator
from typing import Any

from safetensors.torch import load_file

from trainer.chapter.experiment import Experiment, losses
from trainer.disk import layout
from trainer.processes.ranks import Ranks, num_ranks


def show(experiment: Experiment) -> Iterator[Any]:
    """The same run on several processes and on one."""
    config = experiment.config()
    ranks = Ranks(size=num_ranks(config))
    yield "rows in each process", ranks.parts(config.loader.batch_size)
    runs = [experiment.train(), experiment.train("nproc=1")]
    yield "steps: together, alone", [run.measured["steps"] for run in runs]
    together, alone = (losses(run)[-1] for run in runs)
    yield f"last loss: together {together:.12f}, alone {alone:.12f}"
    yield "last loss: relative diff.", abs(together - alone) / alone
    many, one = (load_file(run.run_dir / layout.MODEL) for run in runs)
    apart = [(many[name] - one[name]).abs().max().item() for name in many]
    yield "weights: together - alone", max(apart)
