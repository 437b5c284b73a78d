"""One job, in its own process: trains into the sweep's folder, and ends with an exit code."""

import math
import os
import sys
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from trainer.config import user_modules
from trainer.config.run_config import Stored, read_config
from trainer.config.settings import Settings
from trainer.config.source import Source
from trainer.config.trust import Trust
from trainer.disk import job_folder, layout, storage
from trainer.disk.job_folder import claimed
from trainer.disk.sweep_plan import Job
from trainer.errors import Interrupted, InUse, Killed, StorageError, TrainerError, complain, failed, show_traceback
from trainer.processes import machine, parent_death, signals
from trainer.sweep.ended import BUSY
from trainer.terminal.screen import Screen


@dataclass(frozen=True)
class Place:
    """The resources of a job: the cores that threads=auto may take, the only GPUs that it sees, if any, and how many
    jobs run side by side and share the memory. search: what the job asks whether to go on, see listeners/pruning.py;
    None: nothing prunes it."""

    cores: int = field(default_factory=machine.num_cores)
    gpu: str | None = None
    num_jobs: int = 1
    search: Connection | None = None


class Rehearsed(NamedTuple):
    """What building a job has shown. kind: the type of its device; monitor: the metric, mode its better direction;
    num_bytes: the memory that it took; num_evaluations: of its validation rows, None if unknown."""

    kind: str = "cpu"
    num_gpus: int = 0
    monitor: str = ""
    mode: str = "min"
    num_bytes: int = 0
    num_evaluations: int | None = None


def main(here: Path, sweep: Path, job: Job, place: Place, trust: Trust, lifeline: Connection) -> None:
    """Run the process of a job. Its output goes to its train.log; Ctrl-C reaches the sweep, which passes it on."""
    signals.install_in_child()
    parent_death.die_with_it(lifeline)
    os.chdir(here)
    if place.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = place.gpu
    signals.release()
    sys.exit(train_quietly(sweep, job, place, trust))


def train_quietly(sweep: Path, job: Job, place: Place, trust: Trust) -> int:
    """Train a job in a process of its own, all of whose output goes to the job's train.log. Returns the exit code."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        try:
            return train(sweep, job, Screen(nowhere), place, trust, quiet=True)
        except Interrupted as error:
            return error.exit_code
        except TrainerError as error:
            complain(f"error: {error.message}")
            return error.exit_code


def train(sweep: Path, job: Job, screen: Screen, place: Place, trust: Trust, *, quiet: bool = False) -> int:
    """Train a job: resume it from its checkpoint, or start again if it had failed. Returns the exit code, which is BUSY
    where another process works on it. Unless it is killed, its summary.json records how it ended.

    quiet: all that this process prints goes to the job's log.
    """
    started = time.perf_counter()
    try:
        with ExitStack() as held:
            folder = held.enter_context(claimed(sweep, job))
            if quiet:
                _print_to(folder / layout.LOG)
            status = job_folder.status(folder)  # read now: another process may have worked on it since the plan
            if status in job_folder.DONE:
                return 0
            if status in ("failed", "diverged"):
                job_folder.clear(folder)
            return _carry_out(folder, job, screen, started, place, trust, held)
    except InUse:
        return BUSY


def _carry_out(
    folder: Path, job: Job, screen: Screen, started: float, place: Place, trust: Trust, held: ExitStack
) -> int:
    """Start or resume a job. held: the lock on its folder. Returns the exit code."""
    from trainer.processes import ranks
    from trainer.run import launch
    from trainer.run.session import Session

    session = Session(screen, started, True, num_cores=place.cores, num_jobs=place.num_jobs, search=place.search)
    try:
        with screen:
            screen.open_log(folder / layout.LOG)  # for messages that appear before the run is built
            is_new = not job_folder.holds_run(folder)
            if is_new or not (folder / layout.CONFIG).exists():
                stored = Stored(job.data)
                stored.signed, stored.trusted = trust.signed, trust.granted
            else:
                stored = read_config(folder, trust_it=trust.typed)
            if stored.trusted:
                user_modules.allow_user_modules(stored)
            config = Settings(stored, Source(job.overrides if is_new else [])).check()
            if ranks.num_ranks(config) > 1:
                held.close()  # rank 0 holds the folder, in a process of its own
            sign, download = stored.signed, stored.trusted
            if is_new:
                launch.start(config, job.overrides, lambda _: folder, session, sign=sign, download=download)
            else:
                launch.resume(folder, config, session, sign=sign, download=download)
    except InUse:
        raise
    except SystemExit as error:
        job_folder.record(folder, "failed", f"the code called sys.exit({error.code!r})")
        show_traceback()
        return 1
    except Exception as error:
        known = failed(error, layout.log_name(folder))
        if job_folder.status(folder) not in job_folder.ENDED and known.exit_code < 128:
            with suppress(StorageError):  # a full disk, which is the reason itself
                job_folder.record(folder, status_after(known), known.message)
            show_traceback()
        return known.exit_code
    return 0


def status_after(error: TrainerError) -> str:
    """The status of a job that an error ended: after a kill or a full disk it continues from its checkpoint."""
    return "interrupted" if isinstance(error, (StorageError, Killed)) else "failed"


def _print_to(path: Path) -> None:
    """Let stdout and stderr append to a job's log."""
    log = storage.AppendFile(path).handle
    os.dup2(log, 1)
    os.dup2(log, 2)


def rehearse(here: Path, job: Job, trust: Trust, answer: Connection) -> None:
    """Build a job and discard it. Sends what that has shown, or the error."""
    parent_death.die_with_it()
    os.chdir(here)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    if trust.granted:
        user_modules.allow_user_modules(job.data)
    try:
        import torch

        from trainer.build.build import build
    except (ImportError, OSError) as error:  # too little memory for torch, for one
        answer.send(failed(error))
        return
    try:
        run, _ = build(Settings(job.data, Source(job.overrides)).check(), download=trust.granted)
    except TrainerError as error:
        answer.send(error)
    else:
        kind, num_gpus, stopping = run.device.type, torch.cuda.device_count(), run.stopping
        steps, every = run.progress.num_steps, run.progress.eval_every
        evaluations = math.ceil(steps / every) if run.val_batches is not None else 0
        answer.send(Rehearsed(kind, num_gpus, stopping.monitor, stopping.mode, machine.own_memory(), evaluations))
