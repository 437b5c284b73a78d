"""Runs the jobs of a sweep in Slurm. submitit submits them; squeue and the run folders say which have ended."""

import io
import math
import shlex
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stderr, suppress
from importlib.util import find_spec
from typing import Any

from trainer.config.hydra_plugins import SUBMITIT
from trainer.disk import job_folder, layout, storage
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError, TrainerError
from trainer.processes import signals
from trainer.sweep import slurm_commands as commands
from trainer.sweep.pool import TICK
from trainer.sweep.slurm_commands import ENDINGS, NoAnswer
from trainer.sweep.slurm_job import SlurmJob
from trainer.sweep.sweep import Sweep
from trainer.terminal.spelling import closest
from trainer.text import counted, cut

SETTLE = 15.0  # seconds until what a node wrote last is seen here, on a network file system
SHARED = (  # settings that submitit has for every kind of cluster; the others are Slurm's alone
    "name", "timeout_min", "nodes", "tasks_per_node", "cpus_per_task", "gpus_per_node", "mem_gb", "stderr_to_stdout",
)  # fmt: skip


class Slurm:
    """A cluster, for one sweep. settings: hydra.launcher, as plain data."""

    def __init__(self, sweep: Sweep, settings: Mapping[str, Any]) -> None:
        self.sweep, self.settings = sweep, {name: value for name, value in settings.items() if value is not None}
        self.answers = True  # whether Slurm's controller did when it was last asked

    def check(self) -> None:
        """Raise ConfigError where no job can be submitted, or none would be trained once."""
        if find_spec("submitit") is None:
            raise ConfigError("hydra/launcher=slurm needs submitit", "pip install 'fiveline[slurm]'")
        if not commands.is_here():
            text = "hydra/launcher=slurm: there is no sbatch and no srun here; submit from a machine of the cluster"
            raise ConfigError(text, f"on this machine: {_command_here(self.sweep)}")
        if self.settings.get("nodes", 1) * self.settings.get("tasks_per_node", 1) > 1:
            text = "hydra.launcher: a job of a sweep is one task; several would all train the same"
            raise ConfigError(text, "hydra.launcher.nodes=1 hydra.launcher.tasks_per_node=1, and nproc=2 for processes")
        try:
            known = commands.partitions()
        except NoAnswer as error:
            raise ConfigError(f"Slurm does not answer: {error.message}", "sinfo") from error
        for name in filter(None, str(self.settings.get("partition", "")).split(",")):
            if name not in known:
                text = f"hydra.launcher.partition={name}: this cluster has no such partition, but {', '.join(known)}"
                raise ConfigError(text, f"hydra.launcher.partition={closest(name, known) or known[0]}")

    def run(
        self,
        jobs: Sequence[Job],
        stop: Callable[[], bool],
        tick: Callable[[Sequence[Job]], None],
        is_over: Callable[[], bool],
    ) -> Iterator[tuple[Job, int]]:
        """Submit the jobs that no earlier start left in the queue, and wait. Yields (job, exit code) as they end.

        Once is_over() is true no other job starts. Once stop() is true, neither, and running jobs are asked to save and
        end; if a signal says so and sweep.on_interrupt is keep, all are left to Slurm. tick: see pool.run.
        """
        left = {} if stop() else self._queue(jobs)
        begun, looked = time.monotonic(), -math.inf
        states: dict[str, str] = {}
        ended_at: dict[str, float] = {}
        while left:
            is_stopping, now = stop(), time.monotonic()
            if is_stopping and signals.stop_requested() is not None and self._keeps(jobs):
                self.sweep.remains = f"{counted(len(left), 'job')} stayed in Slurm"
                return
            # A long sweep asks seldom: every user's squeue is work for the one controller.
            if now - looked >= (1 if is_stopping else min(30, max(1, (now - begun) / 20))):
                looked, states = now, self._look(left, is_stopping, is_over())
                ended_at = {number: ended_at.get(number, now) for number, state in states.items() if state in ENDINGS}
                for number, since in ended_at.items():
                    if now - since <= SETTLE and not self._is_settled(left[number], states[number]):
                        continue
                    job = left.pop(number)
                    if self._note_end(job, number, states[number], is_stopping or is_over()):
                        yield job, self._code(job)
                tick([job for number, job in left.items() if states.get(number) == "RUNNING"])
            time.sleep(TICK)

    def _queue(self, jobs: Sequence[Job]) -> dict[str, Job]:
        """The jobs by their numbers in Slurm: those of an earlier start that are still there, and the others, which are
        submitted now."""
        known = self.sweep.rest.setdefault("submitted", {})
        numbers = {number: job for job in jobs if commands.is_number(number := known.get(str(job.number)))}
        states = commands.states(numbers) if numbers else {}
        queued = {number: job for number, job in numbers.items() if states[number] not in ENDINGS}
        if queued:
            self._say(f"{counted(len(queued), 'job')} still in Slurm: {' '.join(queued)}")
        if new := [job for job in jobs if job not in queued.values()]:
            submitted = dict(zip(self._submit(new), new, strict=True))
            self._say(f"{counted(len(new), 'job')} submitted: {' '.join(submitted)}")
            known |= {str(job.number): number for number, job in submitted.items()}
            self.sweep.write({})
            queued |= submitted
        return queued

    def _submit(self, jobs: Sequence[Job]) -> list[str]:
        """Submit jobs. Returns their numbers in Slurm. Raises ConfigError if it takes none."""
        from submitit import AutoExecutor
        from submitit.core.utils import FailedJobError

        settings, folder = dict(self.settings), self.sweep.need_folder().absolute()
        most = settings.pop("max_num_timeout", 0)
        settings.pop("submitit_folder", None)
        # A job comes back after a preemption, also where that is not the cluster's default.
        settings["additional_parameters"] = {"requeue": True} | settings.get("additional_parameters", {})
        executor = AutoExecutor(str(folder / SUBMITIT / "%j"), cluster="slurm", slurm_max_num_timeout=most)
        executor.update_parameters(
            **{name if name in SHARED else f"slurm_{name}": value for name, value in settings.items()}
        )
        try:
            with redirect_stderr(io.StringIO()):  # what sbatch says is in the error, too
                found = executor.map_array(SlurmJob(folder, self.sweep.trust.typed), [job.number for job in jobs])
        except FailedJobError as error:
            if (wish := signals.stop_requested()) is not None:  # Ctrl-C reached sbatch, too
                raise self.sweep.interrupted(wish) from None
            said = [line.removeprefix("sbatch: error: ") for line in str(error).splitlines() if "sbatch:" in line]
            text = f"Slurm did not take the jobs: {'; '.join(said) or error}"
            raise ConfigError(text, f"{self.sweep.resume_command()} hydra.launcher.KEY=VALUE") from error
        for script in (folder / SUBMITIT).glob(".submission_file_*"):  # a link, which a resume refuses to write beside
            storage.remove(script)
        return [job.job_id for job in found]

    def _look(self, left: Mapping[str, Job], is_stopping: bool, is_over: bool) -> dict[str, str]:
        """The state of each job; {} while Slurm does not answer."""
        if is_stopping or is_over:
            commands.cancel_waiting(left)
        if is_stopping:  # each time: a job that has just started may not hear it
            commands.stop_running(left)
        try:
            states = commands.states(left)
        except NoAnswer as error:
            if self.answers:
                self._say(f"does not answer; waiting: {error.message}")
            self.answers = False
            return {}
        if not self.answers:
            self._say("answers again")
        self.answers = True
        return states

    def _is_settled(self, job: Job, state: str) -> bool:
        """Whether the run folder says how a job ended, or nobody will write that there."""
        if state == "COMPLETED":
            return self._status(job) in job_folder.DONE
        # A job that has saved itself may be on its way back into the queue.
        return state not in ("FAILED", commands.GONE) or self._recorded(job) in job_folder.ENDED

    def _note_end(self, job: Job, number: str, state: str, is_asked: bool) -> bool:
        """Record the end of a job that could not say it itself. Returns whether it has begun. is_asked: whether the
        sweep ended it."""
        recorded = self._recorded(job)
        if is_asked and (recorded is None or state == "CANCELLED"):
            return recorded is not None
        saved_itself = state == "FAILED" and recorded in ("stopped", "interrupted")
        if recorded not in job_folder.ENDED and not saved_itself:
            status = "failed" if state in ("COMPLETED", "FAILED") else "interrupted"
            with suppress(TrainerError), job_folder.claimed(self.sweep.need_folder(), job) as folder:
                job_folder.record(folder, status, f"{ENDINGS[state]}: {SUBMITIT}/{number}")
        return True

    def _code(self, job: Job) -> int:
        """The exit code of a job that has ended, as far as the run folder tells it."""
        if self._status(job) in job_folder.DONE:
            return 0
        return 1 if self._recorded(job) in job_folder.ENDED else 128 + signal.SIGTERM

    def _status(self, job: Job) -> str:
        return job_folder.status(job.folder(self.sweep.need_folder()))

    def _recorded(self, job: Job) -> object:
        return layout.read_summary(job.folder(self.sweep.need_folder())).get("status")

    def _keeps(self, jobs: Sequence[Job]) -> bool:
        return bool(jobs[0].data["sweep"].get("on_interrupt") == "keep")  # a sweep of an older version has no such key

    def _say(self, text: str) -> None:
        self.sweep.screen.say(cut(f"slurm    {text}"))


def _command_here(sweep: Sweep) -> str:
    """The command that runs a sweep on this machine."""
    if sweep.folder is not None:
        return f"{sweep.resume_command()} hydra/launcher=local"
    words = [word for word in sweep.typed if not word.startswith(("hydra/launcher=", "hydra.launcher."))]
    return shlex.join(["trainer", "train", "-m", *words])
