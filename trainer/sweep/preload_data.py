"""The rows that the fork server loads for the jobs of a sweep: those of the first job, for all that train on the same.

The server lives as long as the sweep. So it loads only where that runs no code but trainer's and torch's, fetches
nothing, starts no threads and touches no device; in any other case, and after any error, each job loads its own.
"""

import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from trainer.build.model import choose_dtype
from trainer.config.settings import Settings
from trainer.config.trust import strangers
from trainer.data.loading import make_splits
from trainer.device import prepare_cpu
from trainer.processes import told
from trainer.tasks import losses

OF_TENSORS = tuple(f"trainer.data.{name}." for name in ("arrays", "embedded", "synthetic", "vision"))
GPUS = ("nvidia*", "kfd", "dxg")  # in /dev: torch would start their driver to tell, which no fork survives


def hold(data: Mapping[str, Any]) -> None:
    """Load the rows of a job, where that can be done here. data: its config."""
    has_gpu = any(any(Path("/dev").glob(name)) for name in GPUS)
    if strangers(data) or not data["dataset"]["_target_"].startswith(OF_TENSORS):
        return
    if data["device"] != "cpu" and (data["device"] != "auto" or has_gpu):
        return
    prepare_cpu()
    config, cpu = Settings(dict(data)).check(), torch.device("cpu")
    dtype, targets = choose_dtype(config.dtype, cpu), losses.target_scaling(config)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a warning belongs in the log of each job
        make_splits(config, cpu, dtype, download=False, targets=targets, hold=True)


with suppress(Exception):
    if (config_of_a_job := told.receive()) is not None:
        hold(config_of_a_job)
