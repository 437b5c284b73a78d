"""The number of steps that fits into a time, from some steps, an evaluation and a save that are measured."""

import math
import os
from collections.abc import Sequence
from contextlib import ExitStack

from trainer.diagnosis import plan
from trainer.diagnosis.plan import Timing
from trainer.listeners.checkpoints import Checkpoints
from trainer.listeners.console import Console
from trainer.listeners.max_time import seconds_of_end
from trainer.listeners.metrics_files import MetricsFiles
from trainer.processes import scratch
from trainer.state import TrainState
from trainer.terminal.screen import Screen

SHARE, MOST = 0.1, 5.0  # of the time that is measured, at most so many seconds


def measure(run: TrainState, limit: float) -> tuple[Timing, float]:
    """Time steps and an evaluation as in a run, with the lines that it writes, and a save. Returns these, and the
    seconds of the save. Nothing written stays. limit: the seconds that are planned."""
    with ExitStack() as stack:
        folder = stack.enter_context(scratch.folder("trainer-plan-"))
        screen = stack.enter_context(Screen(stack.enter_context(open(os.devnull, "w", encoding="utf-8"))))
        metrics, console = MetricsFiles(run, folder), Console(run, screen, {"train": [], "val": []})
        for listener in (metrics, console):
            stack.callback(listener.close)
        saver = Checkpoints(run, folder, math.inf, 1, metrics.sync)
        timed = plan.timing(run, max(plan.ENOUGH, min(SHARE * limit, MOST)), [metrics, console])
        saver.save()
        return timed, saver.took


def steps_that_fit(
    run: TrainState, seconds: float, phases: Sequence[tuple[float, Timing]], save: float, every_seconds: float
) -> int:
    """The steps that a run can take so that it ends in time; 0 or less where none fits.

    seconds: what is left after the start-up and for the report. phases: (steps, what was measured of them), one after
    the other. save: the seconds of a checkpoint; every_seconds: how often there is one.
    """
    evaluation = phases[-1][1].evaluation
    rows = run.val_batches.num_rows if run.val_batches is not None else 0
    left = seconds - seconds_of_end(run, evaluation / rows if rows else 0.0, save, 0.0)
    fit = 0.0
    for num_steps, timed in phases:
        each = timed.mean + timed.evaluation / run.progress.eval_every
        each += save * (min(1.0, each / every_seconds) if every_seconds else 1.0)
        left -= timed.first
        taken = max(0.0, min(num_steps, left / each))
        fit, left = fit + taken, left - taken * each
    return math.floor(fit)
