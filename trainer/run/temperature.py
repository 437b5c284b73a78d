"""The temperature of a run with calibrate=true: fitted when it ends, with the weights that it keeps. It selects nothing
and changes no metric."""

import torch
from torch import Tensor

from trainer.build.build import Setup
from trainer.disk.calibration import Calibration
from trainer.errors import complain
from trainer.loop import predict
from trainer.run import val_rows
from trainer.state import TrainState
from trainer.stopping import StopReason
from trainer.tasks import calibration
from trainer.tasks.measurable import Measurable
from trainer.tasks.task import Task


class Decisions:
    """What the task's outputs say about some rows, see Task.decisions, on the CPU."""

    def __init__(self, task: Task) -> None:
        self.task, self.num_added = task, 0
        self.logits, self.truths, self.rows = list[Tensor](), list[Tensor](), list[Tensor]()

    def add(self, prediction: Tensor, y: Tensor) -> None:
        """Add a batch. prediction: the output that the task is about."""
        found = self.task.decisions(prediction, y)
        assert found is not None  # noqa: S101 - build has refused such tasks
        logits, truths = (part.cpu() for part in found)
        rows, counted = torch.arange(len(y)).repeat_interleave(len(truths) // max(1, len(y))), truths >= 0
        self.logits.append(logits[counted])
        self.truths.append(truths[counted])
        self.rows.append(self.num_added + rows[counted])
        self.num_added += len(y)

    def joined(self) -> tuple[Tensor, Tensor, Tensor]:
        """(Logits (M, classes), class indices (M,), the row that each is from (M,))."""
        return torch.cat(self.logits), torch.cat(self.truths), torch.cat(self.rows)


def fit(run: TrainState, setup: Setup, held: Decisions) -> Calibration | None:
    """Fit the temperature, give it to the run's task, and measure what it gains: on the test split, or else by
    cross-fitting. held: of the validation rows. None for outputs that are not finite."""
    logits, truths, rows = held.joined()
    if not len(logits) or not bool(logits.isfinite().all()):
        complain("warning: calibrate=true: no temperature was fitted, since some outputs of the model are not finite")
        return None
    temperature = run.task.temperature = calibration.temperature(logits, truths)
    splits, num_fitted = setup.splits, len(rows.unique())
    if splits.test is not None and run.progress.stop_reason != StopReason.DIVERGED:
        logits, truths, rows = _test(run, setup).joined()
        scaled, split, num_rows = logits.double() / temperature, "test", len(rows.unique())
    elif num_fitted > 1:
        scaled, split, num_rows = calibration.cross_fitted(logits, truths, rows), "val", num_fitted
    else:
        return Calibration(temperature, num_fitted)
    before, after = (calibration.scores(part, truths) for part in (logits, scaled))
    return Calibration(temperature, num_fitted, split, num_rows, before, after)


def _test(run: Measurable, setup: Setup) -> Decisions:
    splits, found = setup.splits, Decisions(run.task)
    test = splits.parts["test"]
    places = val_rows.chosen(test.num_rows, splits.fingerprint)
    for _, output, y, _ in predict(run, val_rows.batches(test, places, setup.config.loader.eval_batch_size)):
        found.add(run.fit(output), run.fit.target(y))
    return found
