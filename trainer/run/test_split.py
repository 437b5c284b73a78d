"""The test split, measured once, when a run ends, with the weights that it keeps. It selects nothing."""

import copy
import time
from contextlib import suppress

from trainer.listeners.metrics_files import MetricsFiles
from trainer.loop import evaluate
from trainer.processes import signals
from trainer.processes.ranks import Ranks
from trainer.run.result import Result
from trainer.state import TrainState
from trainer.stopping import StopReason


def measure(run: TrainState, result: Result) -> float:
    """Measure the test split with the weights as they are, and add a row to results.csv. Returns the seconds that it
    took. A run without one, and one that diverged, was pruned or was stopped by a signal, has no test numbers."""
    if run.test_batches is None or result.cut_short or run.progress.stop_reason == StopReason.DIVERGED:
        return 0.0
    begun, alone = time.perf_counter(), copy.copy(run)
    alone.ranks = Ranks()  # the other processes are done
    with suppress(signals.Stop):  # a run that is finished, without these numbers
        result.test = evaluate(alone, run.test_batches, "test")
        files = MetricsFiles(run, result.run_dir)
        files.add_test(run.progress.best_step if run.best_weights is not None else run.progress.step, result.test)
        files.close()
    spent = time.perf_counter() - begun
    result.seconds["eval"] += spent
    return spent
