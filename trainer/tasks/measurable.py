"""What can be measured on a split."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import nn

from trainer.processes.ranks import Ranks
from trainer.tasks.calls import Call, Loss
from trainer.tasks.fit import Fit
from trainer.tasks.task import Task


class Measurable(Protocol):
    """The part of a run that an evaluation needs; TrainState and inference's Trained both have it."""

    @property
    def model(self) -> nn.Module: ...
    @property
    def call(self) -> Call: ...
    @property
    def loss_fn(self) -> nn.Module: ...
    @property
    def loss(self) -> Loss: ...
    @property
    def terms(self) -> Sequence[str]: ...
    @property
    def fit(self) -> Fit: ...
    @property
    def task(self) -> Task: ...
    @property
    def autocast(self) -> Callable[[], AbstractContextManager[Any]]: ...
    @property
    def metrics(self) -> Sequence[str]: ...
    @property
    def dtype(self) -> torch.dtype: ...
    @property
    def ranks(self) -> Ranks: ...
    def seed_evaluation(self, batch: int) -> None: ...
