"""torch.compile keeps the numbers, up to the order of sums."""

from collections.abc import Iterator
from typing import Any

import torch

from trainer.build.probe import check_compiler
from trainer.chapter.example import Skipped
from trainer.chapter.experiment import Experiment, losses
from trainer.errors import ConfigError


def show(experiment: Experiment) -> Iterator[Any]:
    """The same run with compile=model and without."""
    try:
        check_compiler(torch.device("cpu"))
    except ConfigError as error:
        raise Skipped(error.message) from error
    compiled = losses(experiment.train())
    plain = losses(experiment.train("compile=none"))
    yield f"last loss: compiled {compiled[-1]:.8f}, plain {plain[-1]:.8f}"
    yield "steps", len(compiled)
    yield "last loss: |difference|", abs(compiled[-1] - plain[-1])
