"""What an error that ended a run makes of it: its status, and the message where its folder is gone."""

import math

from trainer.disk import folder as folders
from trainer.disk import layout
from trainer.errors import Diverged, Killed, StorageError, TrainerError
from trainer.run.result import Result
from trainer.state import TrainState


def status(error: TrainerError) -> str:
    """The status of a run that an error ended. After a full disk or a kill a sweep continues it from its checkpoint."""
    kinds = {Diverged: "diverged", StorageError: "interrupted", Killed: "interrupted"}
    return next((name for kind, name in kinds.items() if isinstance(error, kind)), "failed")


def diverged_error(run: TrainState, result: Result) -> Diverged:
    """The error for a run whose loss or weights are not finite: what is not, since when, and what is saved."""
    lr, last, progress = run.optimizer.param_groups[0]["lr"], result.checkpoint, run.progress
    saved = f"last good checkpoint: {last}" if last else "no checkpoint had been saved yet"
    bad = [name for name, total in zip(run.terms, progress.term_sums, strict=False) if not math.isfinite(total)]
    what = f"the term '{bad[0]}' of the loss" if bad else "a weight"
    what = what if bad or math.isfinite(progress.loss_sum) else "the loss"
    text = f"{what} is NaN or infinite at step {run.diverged_at or progress.step} with learning rate {lr:g}; {saved}"
    return Diverged(text, f"optimizer.lr={min(lr / 10, 0.01):g}")


def gone_error(gone: folders.Gone, result: Result) -> StorageError:
    """The error for a run whose folder, or a file that it needs, is gone: what is left of it, and where."""
    folder, last = folders.of(result.run_dir), result.checkpoint
    folder.lost = True
    place = folder.place()
    if place is None or last is None:
        return StorageError(f"{gone.message}; {'nothing of it is left' if place is None else 'nothing was saved'}")
    place = layout.relative(place)
    first = f"put {gone.missing} back, then " if gone.missing else ""
    saved = place / last.parent.name / last.name
    return StorageError(f"{gone.message}; saved {saved}", f"{first}trainer resume {place}")
