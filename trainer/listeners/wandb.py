"""Weights & Biases: its server, or files in the run folder that `wandb sync` uploads later."""

import dataclasses
import logging
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from trainer.config.schema import Config
from trainer.disk import folder as folders
from trainer.disk import layout, reading, storage
from trainer.errors import ConfigError, TrainerError
from trainer.listeners import wandb_file
from trainer.text import first_line

log = logging.getLogger(__name__)

FILE, PLACE, PROJECT = "wandb.json", "wandb", "trainer"


def check_login(config: Config) -> None:
    """Raise ConfigError if W&B would ask for a login."""
    import wandb

    if config.wandb == "offline" or os.environ.get("WANDB_MODE", "online") not in ("online", "shared"):
        return
    if not wandb.login(prompt=False, verify=False):
        raise ConfigError("wandb=true needs a login to Weights & Biases", "wandb login, or wandb=offline")


class WandB:
    """A run of W&B's, in WANDB_PROJECT or the project trainer. A resume continues it. Offline each start makes a folder
    RUN/wandb/offline-run-*, which has the steps that those before it do not have."""

    def __init__(self, config: Config, folder: Path) -> None:
        import wandb

        if not (folder / FILE).exists():
            storage.write_json(folder / FILE, {"run_id": secrets.token_hex(4)})
        self.id = str(reading.read_json(folder / FILE)["run_id"])
        place = storage.open_folder(folder / PLACE)
        folders.check_content(place)
        try:
            self.run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                id=self.id,
                name=layout.title(folder),
                group=layout.sweep_of(folder),
                config=dataclasses.asdict(config),
                dir=str(folder),
                mode="offline" if config.wandb == "offline" else None,
                resume="allow",
                reinit="create_new",  # beside a run that the program itself has begun
                settings=wandb.Settings(silent=True, console="off", symlink=False),
            )
        except wandb.errors.Error as error:
            raise TrainerError(f"Weights & Biases: {first_line(error)}", "wandb=offline") from error
        earlier = [wandb_file.last_step(path) for path in place.glob("offline-run-*/run-*.wandb")]
        self.first = max(earlier, default=-1) + 1 if self.run.offline else self.run.step
        command = f"wandb sync {layout.relative(place)}/offline-run-*"
        log.info("wandb    %s", command if self.run.offline else self.run.url)

    def give(self, step: int, values: Mapping[str, float]) -> None:
        """Log a row of the run's history."""
        self.run.log(dict(values), step=step, commit=True)

    def finish(self, report: Path | None, *, succeeded: bool) -> None:
        """Log the report as an artifact, and wait until everything is uploaded, or in the files."""
        import wandb

        if report is not None:
            artifact = wandb.Artifact(f"report-{self.id}", type="report")
            artifact.add_file(str(report))
            self.run.log_artifact(artifact)
        self.run.finish(exit_code=0 if succeeded else 1)
