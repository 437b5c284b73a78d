"""An experiment of the chapter, trained quietly by the ordinary runner."""

import io
import time
from dataclasses import dataclass
from pathlib import Path

from trainer.build.build import build
from trainer.config import compose, user_modules
from trainer.config.schema import Config
from trainer.config.source import Source
from trainer.disk import history, storage
from trainer.run import launch
from trainer.run.result import Result
from trainer.run.session import Session
from trainer.state import TrainState
from trainer.terminal.screen import Screen


@dataclass(frozen=True)
class Experiment:
    """An experiment's file name, typed overrides and config folders.

    output: the folder that its run folders go into.
    """

    name: str
    overrides: list[str]
    folders: list[Path]
    output: Path

    def config(self, *changes: str) -> Config:
        """The checked config; `changes` win over the overrides."""
        words = [f"experiment=chapter/{self.name}", *self.overrides, *changes]
        settings = compose.compose(Source(words, self.folders))
        user_modules.allow_user_modules(settings.data, self.folders)
        return settings.check()

    def build(self, *changes: str) -> TrainState:
        """The live objects of a run, before training."""
        return build(self.config(*changes))[0]

    def train(self, *changes: str) -> Result:
        """Train to the end, in a new run folder below `output`."""

        def make_folder(label: str) -> Path:
            number = len(list(self.output.iterdir()))
            folder = self.output / f"{number:03d}-{label}"
            storage.make_folder(folder)
            return folder

        with Screen(io.StringIO()) as screen:
            session = Session(screen, time.perf_counter(), is_brief=True)
            config = self.config(*changes)
            return launch.start(config, list(changes), make_folder, session)


def losses(result: Result) -> list[float]:
    """The training loss of each logged step."""
    return [loss for _, loss in history.read(result.run_dir).curves["train"]]
