"""model.safetensors of a run folder: written at the end of a run, and again when it is missing or damaged."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer import checkpoint
from trainer.disk import digest, layout, reading, storage
from trainer.disk.tensors import read_tensors, tensor_bytes
from trainer.errors import StorageError, complain
from trainer.tasks import loss_modules

MOST = 2**40  # bytes


def write(folder: Path, weights: Mapping[str, Any]) -> None:
    """Write the best weights, see TrainState.weights: of the model, and in a file of their own those of the loss."""
    of_model, of_loss = loss_modules.split(weights)
    storage.write_file(folder / layout.MODEL, digest.with_digest(tensor_bytes(of_model)))
    if of_loss:
        storage.write_file(folder / layout.LOSS, digest.with_digest(tensor_bytes(of_loss)))


def restore(folder: Path, most: int = MOST) -> None:
    """Write the file again from the newest whole checkpoint if it is missing or damaged. One without a digest, which an
    earlier version wrote, gets one: from now on the run is of this version. Raises StorageError if there is no such
    checkpoint. most: bytes that a file may have."""
    path = folder / layout.MODEL
    try:
        data = digest.read_tensors(path, most)
        if digest.is_present(data):
            return
    except (FileNotFoundError, reading.Damaged) as error:
        whole = (files for files in map(_files, reversed(checkpoint.checkpoints(folder))) if files)
        files = next(whole, None)
        if files is None:
            raise StorageError(f"{error}, and there is no whole checkpoint to write it from") from error
        complain(f"warning: {path} was missing or damaged; it is written again from the checkpoint")
        write(folder, read_tensors(files.get(checkpoint.BEST) or files[checkpoint.WEIGHTS]))
        return
    storage.write_file(path, digest.with_digest(data))


def _files(path: Path) -> dict[str, bytes]:
    try:
        return reading.read_folder(path, MOST)
    except reading.Damaged:
        return {}
