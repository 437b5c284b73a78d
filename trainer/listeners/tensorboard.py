"""TensorBoard's event files."""

from pathlib import Path

from trainer.disk import folder as folders
from trainer.disk import storage
from trainer.events import Event
from trainer.listeners import Tracker, scalars
from trainer.state import TrainState

PLACE = "tensorboard"


class TensorBoard(Tracker):
    """Writes scalars to RUN/tensorboard/. On a resume, purge_step hides what was written after the checkpoint."""

    def __init__(self, run: TrainState, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        place = storage.open_folder(folder / PLACE)
        folders.check_content(place)
        self.terms = run.terms
        self.writer = SummaryWriter(str(place), purge_step=run.progress.step + 1)

    def __call__(self, event: Event) -> None:
        for name, value in scalars.of_event(event, self.terms).items():
            self.writer.add_scalar(name, value, event.step)

    def flush(self) -> None:
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()
