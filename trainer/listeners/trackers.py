"""TensorBoard and MLflow, which show runs: each has a config key, and needs an extra to be installed."""

import dataclasses
import os
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from trainer.config.schema import Config
from trainer.config.schema_key import dotted
from trainer.config.trust import TRACKERS
from trainer.disk import folder as folders
from trainer.disk import layout, reading, storage
from trainer.errors import ConfigError
from trainer.events import Ended, Evaluated, Event, Stepped
from trainer.listeners import Tracker
from trainer.state import TrainState

TENSORBOARD = "tensorboard"
MLFLOW_FILE, MLFLOW_STORE, EXPERIMENT = "mlflow.json", "mlruns", "trainer"
MLFLOW_STATUS = {None: "FINISHED", "early stop": "FINISHED", "max time": "FINISHED", "diverged": "FAILED"}
LONGEST = 500  # characters of a parameter's value


def wanted(config: Config, *, reaches_out: bool) -> list[str]:
    """The tools that the config names; without those that write outside the run folder, if the run may not."""
    names = ("tensorboard", *(TRACKERS if reaches_out else ()))
    return [name for name in names if getattr(config, name)]


def check_installed(config: Config, *, reaches_out: bool) -> None:
    """Raise ConfigError if a tool that is wanted is not installed."""
    for name in wanted(config, reaches_out=reaches_out):
        if find_spec(name) is None:
            raise ConfigError(f"{name}=true needs {name}, which is not installed", f"pip install 'fiveline[{name}]'")


def trackers(config: Config, run: TrainState, folder: Path, *, reaches_out: bool) -> Sequence[Tracker]:
    """A listener for each tool that is wanted. folder: the run folder."""
    names, tools = wanted(config, reaches_out=reaches_out), list[Tracker]()
    if "tensorboard" in names:
        tools.append(TensorBoard(run, folder))
    if "mlflow" in names:
        tools.append(MLflow(config, run, folder))
    return tools


def scalars(event: Event) -> dict[str, float]:
    """step/loss, step/lr and step/grad_norm of a logged step; the metrics of an evaluation; else {}."""
    if isinstance(event, Evaluated):
        return dict(event.metrics)
    if not isinstance(event, Stepped) or event.logged is None:
        return {}
    loss, _, norm = event.logged
    return {"step/loss": loss, "step/lr": event.lr, **({"step/grad_norm": norm} if norm is not None else {})}


class TensorBoard(Tracker):
    """Writes scalars to RUN/tensorboard/. On a resume, purge_step hides what was written after the checkpoint."""

    def __init__(self, run: TrainState, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        place = storage.open_folder(folder / TENSORBOARD)
        folders.check_content(place)
        self.writer = SummaryWriter(str(place), purge_step=run.progress.step + 1)

    def __call__(self, event: Event) -> None:
        for name, value in scalars(event).items():
            self.writer.add_scalar(name, value, event.step)

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class MLflow(Tracker):
    """Logs to MLFLOW_TRACKING_URI, or to files below outputs/mlruns, beside the run and not where a stored config says.
    A resume continues the same MLflow run."""

    def __init__(self, config: Config, run: TrainState, folder: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a run reports to nobody
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # plain files need no server and no database
        from mlflow import MlflowClient

        store = (layout.root_of(folder).absolute() / MLFLOW_STORE).as_uri()
        self.client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or store)
        self.known: dict[str, int] = {}  # metric -> its last step in MLflow
        self.id = self._continued(folder) if (folder / MLFLOW_FILE).exists() else self._created(config, folder)

    def __call__(self, event: Event) -> None:
        from mlflow.entities import Metric

        values = {k: v for k, v in scalars(event).items() if event.step > self.known.get(k, -1)}
        if values:
            now = int(1000 * time.time())
            self.client.log_batch(self.id, metrics=[Metric(k, v, now, event.step) for k, v in values.items()])
        if isinstance(event, Ended):
            self.client.set_terminated(self.id, MLFLOW_STATUS.get(event.stop_reason, "KILLED"))

    def _continued(self, folder: Path) -> str:
        run_id = str(reading.read_json(folder / MLFLOW_FILE)["run_id"])
        self.client.update_run(run_id, "RUNNING")
        for name in self.client.get_run(run_id).data.metrics:
            self.known[name] = max(metric.step for metric in self.client.get_metric_history(run_id, name))
        return run_id

    def _created(self, config: Config, folder: Path) -> str:
        from mlflow.entities import Param

        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        experiment_id = experiment.experiment_id if experiment else self.client.create_experiment(EXPERIMENT)
        run_id = str(self.client.create_run(experiment_id, run_name=folder.name).info.run_id)
        keys = dotted(dataclasses.asdict(config))
        params = [Param(name, str(value)[:LONGEST]) for name, value in keys if not isinstance(value, Mapping)]
        for first in range(0, len(params), 100):  # MLflow takes at most 100 at once
            self.client.log_batch(run_id, params=params[first : first + 100])
        storage.write_json(folder / MLFLOW_FILE, {"run_id": run_id})
        return run_id
