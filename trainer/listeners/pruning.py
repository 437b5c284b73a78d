"""Asks the search that a job belongs to, after each evaluation, whether the job goes on. The job waits for the answer,
so where it ends depends on what was measured, not on how fast a machine is."""

import json
from collections.abc import Sequence
from multiprocessing.connection import Connection

from trainer.events import Evaluated, Event, Started
from trainer.listeners import Listener
from trainer.state import TrainState
from trainer.stopping import StopReason


class Pruning(Listener):
    """Sends the monitored metric of each evaluation, as a JSON list, and receives whether to stop, as JSON.

    past: the evaluations of the run so far. One that resumes sends them all at once: the answer to the last of them
    may not have been acted on. A run that is over anyway asks no more.
    """

    def __init__(self, run: TrainState, search: Connection, past: Sequence[dict[str, float]]) -> None:
        self.run, self.search, self.past = run, search, past

    def __call__(self, event: Event) -> None:
        monitor = self.run.stopping.monitor
        if isinstance(event, Started):
            self._ask([row[monitor] for row in self.past if monitor in row])
        elif isinstance(event, Evaluated):
            self._ask([event.metrics[monitor]])

    def _ask(self, values: list[float]) -> None:
        if values and not self.run.progress.done:
            self.search.send_bytes(json.dumps(values).encode())
            if json.loads(self.search.recv_bytes()):
                self.run.progress.stop_reason = StopReason.PRUNED
