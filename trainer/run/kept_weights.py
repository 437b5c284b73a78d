"""The weights that a run keeps, and what they say about the validation split."""

from contextlib import suppress
from pathlib import Path

from trainer.build.build import Setup
from trainer.disk import layout, storage
from trainer.disk.outcome import EachClass, Predictions
from trainer.processes import signals
from trainer.report import each_class
from trainer.report.predictions import measure
from trainer.run import best_weights, val_rows
from trainer.state import TrainState
from trainer.stopping import StopReason


def keep(
    run: TrainState, setup: Setup, folder: Path, *, with_predictions: bool
) -> tuple[Predictions | None, EachClass | None]:
    """Write the best weights, or else the last, to model.safetensors, and measure them on the validation split."""
    if run.best_weights is None and run.progress.stop_reason == StopReason.DIVERGED:
        return None, None
    with suppress(signals.Stop):  # a stop while batch norms are measured for averaged weights: a resume does that again
        run.load_weights(run.best_weights or run.average.weights(run))
    storage.remove(folder / layout.IMPORTANCE)  # that of earlier weights
    best_weights.write(folder, run.weights())
    if not with_predictions or run.val_batches is None:
        return None, None
    with suppress(signals.Stop):  # the run is finished: after a signal, nobody wants to wait for its picture
        splits, size = setup.splits, run.val_batches.batch_size
        val = splits.parts["val"]
        found = measure(run, splits.preprocessing, run.val_batches, val.part, "validation")
        val_rows.write(folder, val_rows.measure(run, val, splits.fingerprint, size))
        table = splits.preprocessing.table
        return found, each_class.measure(run, run.val_batches, table.targets if table is not None else ())
    return None, None
