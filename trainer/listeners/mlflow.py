"""An MLflow run for each run: to MLFLOW_TRACKING_URI, or to files below outputs/mlruns, for `mlflow ui`."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.disk import reading, storage
from trainer.events import Ended, Event
from trainer.listeners.scalars import scalars
from trainer.state import TrainState

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a run tells nobody of itself
os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # plain files need no server and no database

from mlflow import MlflowClient
from mlflow.entities import Metric, Param

FILE, STORE, EXPERIMENT = "mlflow.json", "mlruns", "trainer"
STATUS = {None: "FINISHED", "early stop": "FINISHED", "diverged": "FAILED"}
LONGEST = 500  # characters of a parameter's value


class MLflow:
    """Logs parameters and metrics. On a resume it goes on with the same MLflow run, and leaves out what that has."""

    def __init__(self, run: TrainState, folder: Path, output_dir: str, params: Mapping[str, Any]) -> None:
        self.run, self.folder, self.params = run, folder, params
        store = (Path(output_dir).expanduser().absolute() / STORE).as_uri()
        self.client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or store)
        self.id, self.known = "", dict[str, int]()  # metric -> the last step that MLflow has of it
        self._begin()

    def __call__(self, event: Event) -> None:
        values = {k: v for k, v in scalars(event, self.run.log_every).items() if event.step > self.known.get(k, -1)}
        if values:
            now = int(1000 * time.time())
            self.client.log_batch(self.id, metrics=[Metric(k, v, now, event.step) for k, v in values.items()])
        if isinstance(event, Ended):
            self.client.set_terminated(self.id, STATUS.get(event.stop_reason, "KILLED"))

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing is open."""

    def _begin(self) -> None:
        path = self.folder / FILE
        if path.exists():
            self.id = str(reading.read_json(path)["run_id"])
            self.client.update_run(self.id, "RUNNING")
            for name in self.client.get_run(self.id).data.metrics:
                self.known[name] = max(m.step for m in self.client.get_metric_history(self.id, name))
            return
        found = self.client.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found else self.client.create_experiment(EXPERIMENT)
        self.id = self.client.create_run(experiment, run_name=self.folder.name).info.run_id
        params = [Param(name, str(value)[:LONGEST]) for name, value in flat(self.params).items()]
        for first in range(0, len(params), 100):  # MLflow takes no more at once
            self.client.log_batch(self.id, params=params[first : first + 100])
        storage.write_json(path, {"run_id": self.id})


def flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A config's values by dotted key."""
    values: dict[str, Any] = {}
    for name, value in node.items():
        values |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return values
