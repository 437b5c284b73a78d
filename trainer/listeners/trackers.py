"""The tools that show runs: each has a config key, and needs an extra to be installed."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from trainer.config.schema import Config
from trainer.config.trust import TRACKERS
from trainer.errors import ConfigError
from trainer.listeners import Tracker
from trainer.listeners.covered import Covered
from trainer.listeners.mlflow import MLflow
from trainer.listeners.tensorboard import TensorBoard
from trainer.listeners.trackio import Trackio
from trainer.listeners.wandb import WandB, check_login
from trainer.state import TrainState


def wanted(config: Config, *, reaches_out: bool) -> list[str]:
    """The tools that the config names; without those that write outside the run folder, if the run may not."""
    names = ("tensorboard", *(TRACKERS if reaches_out else ()))
    return [name for name in names if getattr(config, name)]


def check_ready(config: Config, *, reaches_out: bool) -> None:
    """Raise ConfigError if a tool that is wanted is not installed, or asks for a login."""
    names = wanted(config, reaches_out=reaches_out)
    for name in names:
        if find_spec(name) is None:
            value = str(getattr(config, name)).lower()
            text = f"{name}={value} needs {name}, which is not installed"
            raise ConfigError(text, f"pip install 'fiveline[{name}]'", name)
    if "wandb" in names:
        check_login(config)


def trackers(config: Config, run: TrainState, folder: Path, *, reaches_out: bool) -> Sequence[Tracker]:
    """A listener for each tool that is wanted. folder: the run folder, with its metrics.jsonl."""
    names, tools = wanted(config, reaches_out=reaches_out), list[Tracker]()
    if "tensorboard" in names:
        tools.append(TensorBoard(run, folder))
    if "mlflow" in names:
        tools.append(MLflow(config, run, folder))
    if "wandb" in names:
        tools.append(Covered(run, folder, WandB(config, folder)))
    if "trackio" in names:
        tools.append(Covered(run, folder, Trackio(config, folder)))
    return tools
