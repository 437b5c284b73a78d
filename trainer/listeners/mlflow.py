"""MLflow: a server's, or plain files."""

import dataclasses
import os
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from trainer.config.schema import Config
from trainer.config.schema_key import dotted
from trainer.disk import layout, reading, storage
from trainer.events import Ended, Event
from trainer.listeners import Tracker, scalars
from trainer.state import TrainState
from trainer.stopping import status_of

FILE, STORE, EXPERIMENT = "mlflow.json", "mlruns", "trainer"
STATUS = {"ok": "FINISHED", "diverged": "FAILED"}  # of a run -> of MLflow
LONGEST = 500  # characters of a parameter's value


class MLflow(Tracker):
    """Logs to MLFLOW_TRACKING_URI, or to files below outputs/mlruns, beside the run and not where a stored config says.
    A resume continues the same MLflow run."""

    def __init__(self, config: Config, run: TrainState, folder: Path) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # a run reports to nobody
        os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # plain files need no server and no database
        from mlflow import MlflowClient

        store = (layout.root_of(folder).absolute() / STORE).as_uri()
        self.client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI") or store)
        self.terms, self.report = run.terms, folder / layout.REPORT
        self.known: dict[str, int] = {}  # metric -> its last step in MLflow
        self.id = self._continued(folder) if (folder / FILE).exists() else self._created(config, folder)

    def __call__(self, event: Event) -> None:
        from mlflow.entities import Metric

        found = scalars.of_event(event, self.terms)
        values = {k: v for k, v in found.items() if event.step > self.known.get(k, -1)}
        if values:
            now = int(1000 * time.time())
            self.client.log_batch(self.id, metrics=[Metric(k, v, now, event.step) for k, v in values.items()])
        if isinstance(event, Ended):
            self.client.set_terminated(self.id, STATUS.get(status_of(event.stop_reason), "KILLED"))

    def close(self) -> None:
        """Add the report, if there is one, unless files have been moved away from where MLflow knows its artifacts."""
        place = self.client.get_run(self.id).info.artifact_uri
        is_moved = place.startswith("file:") and not Path(url2pathname(urlparse(place).path)).parent.is_dir()
        if self.report.exists() and not is_moved:
            self.client.log_artifact(self.id, str(self.report))

    def _continued(self, folder: Path) -> str:
        run_id = str(reading.read_json(folder / FILE)["run_id"])
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
        storage.write_json(folder / FILE, {"run_id": run_id})
        return run_id
