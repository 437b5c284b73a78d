"""The tools that people already use to look at runs, each behind a key and an extra of its own."""

import dataclasses
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from trainer.config.schema import Config
from trainer.errors import ConfigError
from trainer.listeners import Listener
from trainer.state import TrainState


class Tracker(Listener, Protocol):
    """A listener that may hold back what it has; `flush` is called before each checkpoint."""

    def flush(self) -> None: ...


def check_installed(config: Config) -> None:
    """Raise ConfigError where a tool is asked for and not there."""
    for name in ("tensorboard", "mlflow"):
        if getattr(config, name) and find_spec(name) is None:
            raise ConfigError(f"{name}=true needs {name}, which is not installed", f"pip install 'fiveline[{name}]'")


def trackers(config: Config, run: TrainState, folder: Path) -> Sequence[Tracker]:
    """A listener for each tool that was asked for."""
    found: list[Tracker] = []
    if config.tensorboard:
        from trainer.listeners.tensorboard import TensorBoard

        found.append(TensorBoard(run, folder))
    if config.mlflow:
        from trainer.listeners.mlflow import MLflow

        found.append(MLflow(run, folder, config.output_dir, dataclasses.asdict(config)))
    return found
