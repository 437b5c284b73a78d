"""One job, in its own process: trains into the sweep's folder, and ends with an exit code."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from trainer.config import user_modules
from trainer.config.run_config import Stored, read_config
from trainer.config.settings import Settings
from trainer.config.source import Source
from trainer.config.trust import OWN, Trust
from trainer.disk import layout, sweep_plan
from trainer.disk.sweep_plan import Job
from trainer.errors import Interrupted, TrainerError, failed, show_traceback
from trainer.processes import parent_death, signals
from trainer.terminal.screen import Screen


@dataclass(frozen=True)
class Place:
    """The resources of a job: the cores that threads=auto may take, and the only GPUs that it sees, if any."""

    cores: int
    gpu: str | None = None


def main(here: Path, sweep: Path, job: Job, place: Place, trust: Trust, lifeline: Connection) -> None:
    """Run the process of a job. Its output goes to its train.log; Ctrl-C reaches the sweep, which passes it on."""
    signals.install()
    if hasattr(os, "setsid"):
        os.setsid()
    parent_death.die_with_it(lifeline)
    os.chdir(here)
    folder = sweep_plan.claim(sweep, job)
    log = os.open(folder / layout.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    if place.gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = place.gpu
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        try:
            if hasattr(signal, "pthread_sigmask"):
                signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked since the fork server began
            code = train(sweep, job, Screen(nowhere), place.cores, trust)
        except Interrupted as error:
            code = error.exit_code
    sys.exit(code)


def train(sweep: Path, job: Job, screen: Screen, cores: int | None = None, trust: Trust = OWN) -> int:
    """Train a job: resume it from its checkpoint, or start again if it had failed. Returns the exit code. Unless it is
    killed, its summary.json records how it ended."""
    started = time.perf_counter()
    status = sweep_plan.status(sweep, job)
    folder = sweep_plan.claim(sweep, job)
    if status in ("failed", "diverged"):
        sweep_plan.clear_job(folder)
    from trainer.run import launch
    from trainer.run.session import Session

    session = Session(screen, started, is_brief=True, num_cores=cores)
    try:
        with screen:
            screen.open_log(folder / layout.LOG)  # for messages that appear before the run is built
            is_new = status != "interrupted" or not (folder / layout.CONFIG).exists()
            if is_new:
                stored = Stored(job.data)
                stored.trusted = trust.granted
            else:
                stored = read_config(folder, trust_it=trust.typed)
            if stored.trusted:
                user_modules.allow_user_modules(stored)
            config = Settings(stored, Source(job.overrides if is_new else [])).check()
            if is_new:
                launch.start(config, job.overrides, lambda _: folder, session, download=stored.trusted)
            else:
                launch.resume(folder, config, session, download=stored.trusted)
    except SystemExit as error:
        sweep_plan.record_failure(folder, f"the code called sys.exit({error.code!r})")
        show_traceback()
        return 1
    except Exception as error:
        known = failed(error, layout.log_name(folder))
        if sweep_plan.status(sweep, job) in ("waiting", "interrupted") and known.exit_code < 128:
            sweep_plan.record_failure(folder, known.message)
            show_traceback()
        return known.exit_code
    return 0


def rehearse(here: Path, job: Job, trust: Trust, answer: Connection) -> None:
    """Build a job and discard it. Sends the type of its device, the number of GPUs and the monitored metric, or the
    error."""
    parent_death.die_with_it()
    os.chdir(here)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(nowhere.fileno(), 2)
    if trust.granted:
        user_modules.allow_user_modules(job.data)
    import torch

    from trainer.build.build import build

    try:
        run, _ = build(Settings(job.data, Source(job.overrides)).check(), download=trust.granted)
    except TrainerError as error:
        answer.send(error)
    else:
        answer.send((run.device.type, torch.cuda.device_count(), run.stopping.monitor))
