"""What a node of a Slurm cluster runs: one job of a sweep, which saves when Slurm asks it to end."""

import signal
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from trainer.config.trust import Trust
from trainer.disk import job_folder, sweep_plan
from trainer.errors import TrainerError
from trainer.processes import signals
from trainer.sweep import ended
from trainer.sweep.job import Place, train
from trainer.terminal.screen import Screen
from trainer.text import first_line

LIMIT = signal.SIGUSR2  # what Slurm sends before the time limit, as submitit asks it to


@dataclass(frozen=True)
class SlurmJob:
    """Called by submitit, which pickles it. sweep: its absolute folder; trusts: whether --trust was typed."""

    sweep: Path
    trusts: bool

    def __call__(self, number: int) -> None:
        """Train the job with this number, and end the process with its exit code.

        SIGTERM and SIGUSR2 save it. After SIGUSR2, its time limit, it asks Slurm to put it back into the queue; after
        SIGTERM (it is preempted, or cancelled) Slurm knows that itself.
        """
        back_into_queue: Any = signal.getsignal(LIMIT)  # submitit's; it counts how often
        signals.install_in_child(own_session=False)  # Slurm may find a step's processes by their group
        save: Any = signal.getsignal(signal.SIGTERM)
        at_limit = False

        def note_limit(number: int, frame: FrameType | None) -> None:
            nonlocal at_limit
            at_limit = True
            save(number, frame)

        signal.signal(LIMIT, note_limit)
        with signals.listening():  # from now on: a limit may be reached before the run begins
            plan = sweep_plan.read_plan(self.sweep)
            job = next(job for job in plan.jobs if job.number == number)
            try:
                code = train(self.sweep, job, Screen(), Place(), Trust(plan.signed, self.trusts))
            except signals.Stop:
                code = 128 + signal.SIGTERM
        ended.record(self.sweep, job, code)
        if at_limit and code in signals.INTERRUPTED:
            try:
                back_into_queue(LIMIT, None)
            except Exception as error:
                with suppress(TrainerError):
                    text = f"it reached its time limit in Slurm. {first_line(error)}"
                    job_folder.record(job.folder(self.sweep), "interrupted", text)
        sys.exit(code)

    def checkpoint(self, number: int) -> Any:
        """What submitit runs once the job is back: the same, since the run folder tells how far it was."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, number)
