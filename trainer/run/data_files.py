"""What a run folder holds about its data."""

from pathlib import Path

from trainer import checkpoint
from trainer.build.model import choose_dtype
from trainer.config.schema import Config
from trainer.data import fingerprint, preprocessing
from trainer.data.earlier import Earlier, IfChanged, read_preprocessing
from trainer.data.splits import Splits
from trainer.device import choose_device
from trainer.disk import layout


def read(folder: Path, config: Config, *, if_changed: IfChanged = "refuse") -> Earlier | None:
    """The preprocessing and the fingerprint; None if the run ended before it wrote them. Raises StorageError."""
    if not (folder / layout.PREPROCESSING_FACTS).exists() and not checkpoint.checkpoints(folder):
        return None
    device, _ = choose_device(config.device)
    dtype = choose_dtype(config.dtype, device)
    prepared = read_preprocessing(folder, config.dataset, dtype)
    return Earlier(prepared, fingerprint.read(folder), if_changed, str(layout.relative(folder)))


def write(folder: Path, splits: Splits) -> None:
    """Write the preprocessing and the fingerprint of a run's data."""
    preprocessing.write(folder, splits.preprocessing)
    fingerprint.write(folder, splits.fingerprint)
