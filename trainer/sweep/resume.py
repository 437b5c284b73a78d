"""trainer resume SWEEP: skips finished jobs, resumes interrupted ones and runs failed ones again."""

import dataclasses
import shlex
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from trainer.config import compose, files, trust, user_modules
from trainer.config.changeable_keys import Changeable
from trainer.config.source import Source
from trainer.disk import layout, sweep_plan
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError, Interrupted, complain
from trainer.sweep.search import STORAGE
from trainer.sweep.sweep import Sweep
from trainer.terminal.screen import Screen
from trainer.text import counted, printable

CHANGEABLE = Changeable(
    ("sweep.jobs", "sweep.on_fail"), "cannot change on a resume of a sweep, which would be another sweep"
)
TRIALS = "hydra.sweeper.n_trials"


def resume(folder: Path, overrides: Sequence[str], *, trusted: bool = False) -> int:
    """Run the unfinished jobs of a sweep. Returns the exit code. Raises ConfigError for jobs that differ from the plan,
    a key that cannot change, or another person's plan that would import unknown targets, unless it is trusted."""
    typed, jobs = sweep_plan.read_plan(folder)
    if not sweep_plan.is_own(folder):
        _judge(folder, typed, jobs, trusted)
    for job in jobs:
        sweep_plan.check_identity(folder, job)
    if (folder / STORAGE).exists():
        return _search(folder, typed, overrides, jobs)
    statuses = {job.number: sweep_plan.status(folder, job) for job in jobs}
    kept = [word for word in typed if word.partition("=")[0] not in {word.partition("=")[0] for word in overrides}]
    command = printable(shlex.join(["trainer", "train", "-m", *kept, *overrides]))
    instead = command if sweep_plan.is_own(folder) else None
    changed = {key.partition(".")[2]: value for key, value in CHANGEABLE.read(overrides, instead).items()}
    unfinished = [job for job in jobs if statuses[job.number] != "ok"]
    left = [dataclasses.replace(job, data=job.data | {"sweep": job.data["sweep"] | changed}) for job in unfinished]
    if not left:
        print(f"{folder} is finished: {counted(len(jobs), 'job')}. Nothing to do.")
        print(f"To see them: trainer compare {folder}")
        return 0
    user_modules.allow_user_modules()
    with Screen() as screen:
        sweep = Sweep(typed, screen)
        sweep.prepare(left)
        sweep.open(folder, jobs, len(jobs) - len(left))
        counts = ", ".join(f"{count} {status}" for status, count in Counter(statuses.values()).items())
        screen.say(f"resume   {layout.relative(folder)}: {counts}\n")
        return _to_the_end(sweep, lambda: sweep.run(left))


def _judge(folder: Path, typed: Sequence[str], jobs: Sequence[Job], trusted: bool) -> None:
    """Refuse a plan without the user's signature that would import unknown targets, or is a search: a search composes
    the typed overrides again, which may name any target."""
    unknown = list(dict.fromkeys(name for job in jobs for name in trust.strangers(job.data)))
    if (folder / STORAGE).exists():
        unknown.append(f"whatever these overrides name: {' '.join(typed)}")
    if unknown and not trusted:
        text = f"{folder / layout.SWEEP} would import {unknown[0]}, and is not signed with your key"
        raise ConfigError(text, f"if you trust its author: trainer resume {folder} --trust")
    for name in unknown:
        complain(f"trust    importing {name}")


def _search(folder: Path, typed: list[str], overrides: Sequence[str], jobs: list[Job]) -> int:
    """Resume a search: first its open jobs, then the proposals that are left; hydra.sweeper.n_trials=40 adds more."""
    from trainer.sweep.hydra_task import Task

    for key in (override.partition("=")[0] for override in overrides):
        if key != TRIALS:
            raise ConfigError(f"{key} cannot change on a resume", f"{TRIALS}=40")
    user_modules.allow_user_modules()
    with Screen() as screen:
        sweep = Sweep(typed, screen)
        sweep.prepare(jobs)
        sweep.open(folder, jobs, sum(sweep_plan.status(folder, job) not in ("waiting", "interrupted") for job in jobs))
        screen.say(f"resume   {layout.relative(folder)}: {counted(len(jobs), 'job')} so far\n")
        source = Source([*typed, *overrides], files.roots())
        return _to_the_end(sweep, lambda: compose.sweep(source, Task(sweep, source)))


def _to_the_end(sweep: Sweep, run: Callable[[], object]) -> int:
    """Run, and rank the jobs even if a signal interrupts them. Returns the exit code."""
    try:
        run()
    except Interrupted:
        sweep.end()
        raise
    return sweep.end()
