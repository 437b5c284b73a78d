"""The weights that a run keeps, and what they say about the validation split."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from trainer.build.build import Setup
from trainer.disk import calibration, layout, storage
from trainer.disk.calibration import Calibration
from trainer.disk.outcome import EachClass, Predictions
from trainer.processes import signals
from trainer.report import each_class
from trainer.report.predictions import measure
from trainer.run import best_weights, temperature, val_rows
from trainer.run.temperature import Decisions
from trainer.state import TrainState
from trainer.stopping import StopReason


@dataclass
class Kept:
    """What the kept weights say about the validation split, as far as it was measured."""

    predictions: Predictions | None = None
    each: EachClass | None = None
    calibration: Calibration | None = None


def keep(run: TrainState, setup: Setup, folder: Path, *, with_predictions: bool) -> Kept:
    """Write the best weights, or else the last, to model.safetensors, and measure them on the validation split."""
    found = Kept()
    if run.best_weights is None and run.progress.stop_reason == StopReason.DIVERGED:
        return found
    with suppress(signals.Stop):  # a stop while batch norms are measured for averaged weights: a resume does that again
        run.load_weights(run.best_weights or run.average.weights(run))
    for name in (layout.CALIBRATION, layout.IMPORTANCE):  # of other weights
        storage.remove(folder / name)
    best_weights.write(folder, run.weights())
    if not with_predictions or run.val_batches is None:
        return found
    with suppress(signals.Stop):  # the run is finished: after a signal, nobody wants to wait for its picture
        splits, size = setup.splits, run.val_batches.batch_size
        val = splits.parts["val"]
        held = Decisions(run.task) if setup.config.calibrate else None
        rows = val_rows.measure(run, val, splits.fingerprint, size, held.add if held is not None else None)
        val_rows.write(folder, rows)
        if held is not None and (fitted := temperature.fit(run, setup, held)) is not None:
            calibration.write(folder, fitted)
            found.calibration = fitted
        found.predictions = measure(run, splits.preprocessing, run.val_batches, val.part, "validation")
        table = splits.preprocessing.table
        found.each = each_class.measure(run, run.val_batches, table.targets if table is not None else ())
    return found
