"""TensorBoard event files in RUN/tensorboard/: `tensorboard --logdir outputs`."""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from trainer.events import Event
from trainer.listeners.scalars import scalars
from trainer.state import TrainState

FOLDER = "tensorboard"


class TensorBoard:
    """Writes scalars. On a resume what was written after the checkpoint is taken back, by TensorBoard's own purge."""

    def __init__(self, run: TrainState, folder: Path) -> None:
        self.run = run
        self.writer = SummaryWriter(str(folder / FOLDER), purge_step=run.progress.step + 1)

    def __call__(self, event: Event) -> None:
        for name, value in scalars(event, self.run.log_every).items():
            self.writer.add_scalar(name, value, event.step)

    def flush(self) -> None:
        """Write what waits, before a checkpoint counts on it."""
        self.writer.flush()

    def close(self) -> None:
        """Write what is left and close the file."""
        self.writer.close()
