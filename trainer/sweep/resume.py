"""trainer resume SWEEP: skips what is done, goes on with what was interrupted, runs again what failed."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.config import compose, files, trust, user_modules
from trainer.config.changeable import Changeable
from trainer.config.source import Source
from trainer.disk import layout, sweep_plan
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError, Interrupted, complain
from trainer.sweep.search import STORAGE
from trainer.sweep.sweep import Sweep
from trainer.terminal.screen import Screen

CHANGEABLE = Changeable(("sweep.jobs", "sweep.on_fail"), "cannot change on a resume: it would be another sweep")
TRIALS = "hydra.sweeper.n_trials"


def resume(folder: Path, overrides: Sequence[str], *, trusted: bool = False) -> int:
    """Run the jobs of a sweep that are not done. Returns the exit code.

    Raises ConfigError where the folder's jobs are not those that were planned, for a key that would make it another
    sweep, and for a plan of somebody else's that would import what is not known, unless it is trusted.
    """
    typed, jobs = sweep_plan.read_plan(folder)
    if not sweep_plan.is_own(folder):
        _judge(folder, typed, jobs, trusted)
    for job in jobs:
        sweep_plan.check_identity(folder, job)
    found = {job.number: sweep_plan.status(folder, job) for job in jobs}
    if (folder / STORAGE).exists():
        return _search(folder, [*typed, *overrides], jobs)
    changed = {key.partition(".")[2]: value for key, value in CHANGEABLE.read(overrides).items()}
    left = [_with(job, changed) for job in jobs if found[job.number] != "ok"]
    if not left:
        print(f"{folder} is finished: {len(jobs)} jobs. Nothing to do.")
        print(f"to see them: trainer compare {folder}")
        return 0
    user_modules.allow_user_modules()
    with Screen() as screen:
        sweep = Sweep(typed, screen)
        sweep.prepare(left)
        sweep.open(folder, jobs, len(jobs) - len(left))
        counts = Counter(found.values())
        screen.say(
            f"resume   {layout.relative(folder)}: " + ", ".join(f"{counts[name]} {name}" for name in counts) + "\n"
        )
        try:
            sweep.run(left)
        except Interrupted:
            sweep.end()
            raise
        return sweep.end()


def _judge(folder: Path, typed: Sequence[str], jobs: Sequence[Job], trusted: bool) -> None:
    """A plan that this user has not signed: its targets have to be known ones, and a search composes what was typed."""
    named = list(dict.fromkeys(stranger for job in jobs for stranger in trust.strangers(job.data)))
    if (folder / STORAGE).exists():
        named.append(f"whatever is composed of: {' '.join(typed)}")
    if named and not trusted:
        text = f"{folder / layout.SWEEP} would import {named[0]}, and does not bear your signature"
        raise ConfigError(text, f"if you trust whoever made it: trainer resume {folder} --trust")
    for name in named:
        complain(f"trust    importing {name}")


def _search(folder: Path, typed: list[str], jobs: list[Job]) -> int:
    """Go on with a search: what is open, then as many proposals as are left; more with hydra.sweeper.n_trials=40."""
    from trainer.sweep.task import Task

    known = sweep_plan.read_plan(folder)[0]
    for override in typed[len(known) :]:
        if override.partition("=")[0] != TRIALS:
            raise ConfigError(f"{override.partition('=')[0]} cannot change on a resume", f"{TRIALS}=40")
    user_modules.allow_user_modules()
    with Screen() as screen:
        sweep = Sweep(known, screen)
        sweep.prepare(jobs)
        sweep.open(folder, jobs, sum(sweep_plan.status(folder, job) not in ("waiting", "interrupted") for job in jobs))
        screen.say(f"resume   {layout.relative(folder)}: {len(jobs)} jobs so far\n")
        source = Source(typed, files.roots())
        try:
            compose.sweep(source, Task(sweep, source))
        except Interrupted:
            sweep.end()
            raise
        return sweep.end()


def _with(job: Job, changed: dict[str, Any]) -> Job:
    return dataclasses.replace(job, data=job.data | {"sweep": job.data["sweep"] | changed})
