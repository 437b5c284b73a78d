"""trackio: its folder on this machine, or the server or Space that TRACKIO_SERVER_URL or TRACKIO_SPACE_ID names."""

import dataclasses
import io
import secrets
from collections.abc import Mapping
from contextlib import redirect_stdout
from pathlib import Path

from trainer.config.schema import Config
from trainer.disk import layout, reading, storage

FILE, PROJECT = "trackio.json", "trainer"


class Trackio:
    """A run of trackio's, in the project trainer. A resume continues it."""

    def __init__(self, config: Config, folder: Path) -> None:
        import trackio

        if not (folder / FILE).exists():
            storage.write_json(folder / FILE, {"name": f"{layout.title(folder)}-{secrets.token_hex(2)}"})
        name = str(reading.read_json(folder / FILE)["name"])  # by which trackio finds the run again
        with redirect_stdout(io.StringIO()):
            self.run = trackio.init(
                project=PROJECT,
                name=name,
                group=layout.sweep_of(folder),
                config=dataclasses.asdict(config),
                resume="allow",
                embed=False,
            )
        self.first: int = self.run._next_step  # what `log` counts from, also where a server has the run

    def give(self, step: int, values: Mapping[str, float]) -> None:
        """Log the numbers of a step."""
        self.run.log(dict(values), step=step)

    def finish(self, report: Path | None, *, succeeded: bool) -> None:
        """Log the report as an artifact, and wait until everything is stored."""
        import trackio

        with redirect_stdout(io.StringIO()):
            if report is not None:
                self.run.log_artifact(str(report), name=f"report-{self.run.name}", type="report")
            trackio.finish()  # run.finish() would be called once more when Python ends
