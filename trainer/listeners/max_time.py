"""Ends a run in time: its last evaluation, its saving and its report are within max_time, as far as can be foreseen."""

from collections.abc import Mapping

from trainer.events import Ended, Evaluated, Event, Stepped
from trainer.listeners import Listener
from trainer.listeners.checkpoints import Checkpoints
from trainer.state import TrainState
from trainer.stopping import StopReason

WARM = 3  # first steps, slower than a typical one
PASSES = 4  # over the validation rows at the end: an evaluation, then the losses, predictions and metrics of each row
REPORT = 0.5  # of the start-up: a report takes about half as long, for both mostly import libraries
LONGEST_REPORT = 5.0  # seconds; a start-up beyond ten is that of a large model


class MaxTime(Listener):
    """Asks for the end of a run whose time is over, or would be after what is still to be done.

    limit: seconds. seconds: {'train': …, 'eval': …} of this session so far, which the caller keeps. saver: knows how
    long a save takes. report: the seconds of one, see seconds_of_report. At least one step is taken.
    """

    def __init__(
        self, run: TrainState, limit: float, seconds: Mapping[str, float], saver: Checkpoints, report: float = 0.0
    ) -> None:
        self.run, self.limit, self.seconds, self.saver = run, limit, seconds, saver
        self.report = report
        self.num_steps = self.num_evaluations = 0
        self.begun = (0.0, 0)  # seconds of training and samples, once the first steps are behind

    def __call__(self, event: Event) -> None:
        progress = self.run.progress
        if isinstance(event, Stepped):
            self.num_steps += 1
            if self.num_steps == WARM:
                self.begun = (self.seconds["train"], progress.samples)
        self.num_evaluations += isinstance(event, Evaluated)
        is_open = progress.stop_reason is None and 0 < progress.step < progress.num_steps and self.run.is_whole
        if is_open and not isinstance(event, Ended) and self.run.timer.seconds + self.to_come() >= self.limit:
            progress.stop_reason = StopReason.MAX_TIME

    def to_come(self) -> float:
        """The seconds that the end of the run will take, foreseen from what was measured. Before the first evaluation a
        row is expected to take as long as in training."""
        val, row = self.run.val_batches, 0.0
        samples = self.run.progress.samples - self.begun[1]
        if self.num_evaluations and val is not None:
            row = self.seconds["eval"] / (self.num_evaluations * val.num_rows)
        elif self.num_steps > WARM and samples:
            row = (self.seconds["train"] - self.begun[0]) / samples
        return seconds_of_end(self.run, row, self.saver.took, self.report)


def seconds_of_report(start_up: float) -> float:
    """The seconds that a report will take, foreseen from those of the start-up."""
    return min(REPORT * start_up, LONGEST_REPORT)


def seconds_of_end(run: TrainState, row: float, save: float, report: float) -> float:
    """The seconds from the last step to the end of a run. row: of evaluating a row; save: of a checkpoint, which takes
    about as long as the weights that are kept; report: of that."""
    val, test = (batches.num_rows if batches is not None else 0 for batches in (run.val_batches, run.test_batches))
    return row * (PASSES * val + test) + 2 * save + report
