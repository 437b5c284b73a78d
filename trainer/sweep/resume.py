"""trainer resume SWEEP: skips finished jobs, resumes interrupted ones and runs failed ones again.

Nothing that is stored is composed: jobs, and what a search proposes others from, are plain data.
"""

import dataclasses
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from trainer.config import compose, files
from trainer.config.changeable_keys import Changeable
from trainer.config.search_space import Space
from trainer.config.source import Source
from trainer.config.trust import Trust, kept_inside, strangers
from trainer.disk import job_folder, layout, sweep_plan
from trainer.disk.sweep_plan import Job, Plan
from trainer.errors import ConfigError, Interrupted, StorageError, complain
from trainer.sweep import old_search, search
from trainer.sweep.sweep import Sweep
from trainer.terminal.screen import Screen
from trainer.text import cleaned, counted

TRIALS, TIME = "hydra.sweeper.n_trials", "hydra.sweeper.max_time"
LAUNCHER = ("hydra/launcher", "hydra.launcher.*")
REFUSAL = "cannot change on a resume of a sweep, which would be another sweep"
CHANGEABLE = Changeable(("sweep.jobs", "sweep.on_fail", "sweep.on_interrupt", *LAUNCHER), REFUSAL)
OF_A_SEARCH = Changeable((*CHANGEABLE.keys, TRIALS, TIME), REFUSAL)


@dataclass(frozen=True)
class Stored:
    """A sweep as it lies on disk. space: what its search proposes from; None for a grid. unknown: what it would import
    that is not known to be harmless, if this user has not signed it. damaged: why a job cannot be run, by number."""

    plan: Plan
    space: Space | None
    unknown: list[str]
    status: dict[int, str]
    damaged: dict[int, str]

    @classmethod
    def read(cls, folder: Path, *, trusted: bool) -> "Stored":
        """Read a sweep. Raises ConfigError for a folder of another job, and for unknown targets that nobody trusts."""
        plan = sweep_plan.read_plan(folder)
        space, samples = _space(plan.search, folder)
        configs = [job.data for job in [*plan.jobs, *samples]]
        unknown = [] if plan.signed else list(dict.fromkeys(name for data in configs for name in strangers(data)))
        if unknown and not trusted:
            text = f"{folder / layout.SWEEP} would import {unknown[0]}, and is not signed with your key"
            raise ConfigError(text, f"if you trust its author: trainer resume {shlex.quote(str(folder))} --trust")
        damaged = {}
        for job in plan.jobs:
            if job.folder(folder).is_symlink():
                damaged[job.number] = f"{job.folder(folder)} is a link, and nothing is written outside the sweep"
                continue
            try:
                job_folder.check_identity(folder, job)
            except StorageError as error:
                damaged[job.number] = error.message
        return cls(
            plan, space, unknown, {job.number: job_folder.status(job.folder(folder)) for job in plan.jobs}, damaged
        )

    @property
    def left(self) -> list[Job]:
        """The jobs that are to be run."""
        open_jobs = (job for job in self.plan.jobs if self.status[job.number] not in job_folder.DONE)
        return [job for job in open_jobs if job.number not in self.damaged]

    @property
    def lost(self) -> list[int]:
        """The jobs that are not done and cannot be run."""
        return [number for number in self.damaged if self.status[number] not in job_folder.DONE]


def _space(search: Mapping[str, Any] | None, folder: Path) -> tuple[Space | None, list[Job]]:
    """(the space of a stored search, jobs with every choice and option in it); (None, []) for a grid."""
    if search is None:
        return None, []
    try:
        space = Space.of_data(search)
        return space, [space.job(0, {**trial, **v.picks}) for v in space.variants for trial in space.samples()]
    except (ConfigError, ArithmeticError, LookupError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise StorageError(f"{folder / layout.SWEEP}: its search cannot be read: {error!r}") from error


def resume(folder: Path, overrides: Sequence[str], *, trusted: bool = False) -> int:
    """Run the unfinished jobs of a sweep, and propose the others of a search. Returns the exit code.

    Raises ConfigError for jobs that differ from the plan, a key that cannot change, or another person's plan that would
    import unknown targets, unless it is trusted; InUse if another process runs this sweep.
    """
    stored = Stored.read(folder, trusted=trusted)
    if stored.plan.changed:
        complain(f"warning: {layout.relative(folder / layout.SWEEP)} has changed since trainer wrote it")
    old = old_search.wanted(folder, stored.plan)
    if old is not None and (any(word.startswith(f"{TRIALS}=") for word in overrides) or (old and not stored.left)):
        raise old_search.refusal(folder, stored.plan)
    changes = (CHANGEABLE if stored.space is None else OF_A_SEARCH).read(overrides, _instead(stored.plan, overrides))
    space = None if stored.space is None else _changed(stored.space, changes)
    if not stored.left and not stored.lost and (space is None or len(stored.plan.jobs) >= space.settings.n_trials):
        print(cleaned(f"{folder} is finished: {counted(len(stored.plan.jobs), 'job')}. Nothing to do."))
        print(cleaned(f"To see them: trainer compare {folder}"))
        return 0
    typed = Source(
        [word for word in overrides if word.startswith(("hydra/launcher", "hydra.launcher."))], files.roots()
    )
    with Screen() as screen, Sweep(stored.plan.typed, screen, Trust(stored.plan.signed, trusted)) as sweep:
        sweep.hold(folder)
        stored = Stored.read(folder, trusted=trusted)  # again: another process may have ended since
        sweep.trust = Trust(stored.plan.signed, trusted)
        for name in stored.unknown:
            complain(f"trust    importing {name}")
        if line := kept_inside([job.data for job in stored.left], sweep.trust.granted):
            complain(line)
        code = _to_the_end(sweep, partial(_run, sweep, folder, stored, space, changes, typed))
    if old:
        complain(f"warning: {old_search.refusal(folder, stored.plan).message}")
        complain(f"         to start a new search: {old_search.command(stored.plan)}")
    return code


def _instead(plan: Plan, overrides: Sequence[str]) -> str | None:
    """The command of a new sweep with these keys; None for a sweep whose words this user did not sign."""
    keys = {word.partition("=")[0] for word in overrides}
    kept = [word for word in plan.typed if word.partition("=")[0] not in keys]
    return cleaned(shlex.join(["trainer", "train", "-m", *kept, *overrides])) if plan.signed else None


def _changed(space: Space, changes: Mapping[str, Any]) -> Space:
    """The space with what was typed for it."""
    typed = {key.rpartition(".")[2]: changes[key] for key in (TRIALS, TIME) if key in changes}
    settings = dataclasses.replace(space.settings, **typed)
    return dataclasses.replace(space.changed({"sweep": _of_sweep(changes)}), settings=settings)


def _of_sweep(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {key.partition(".")[2]: value for key, value in changes.items() if key.startswith("sweep.")}


def _run(
    sweep: Sweep, folder: Path, stored: Stored, space: Space | None, changes: Mapping[str, Any], typed: Source
) -> None:
    plan, of_sweep = stored.plan, _of_sweep(changes)
    left = [dataclasses.replace(job, data=job.data | {"sweep": job.data["sweep"] | of_sweep}) for job in stored.left]
    sweep.rest = {"search": None if space is None else space.as_data(), "launcher": plan.launcher}
    if plan.signed:
        sweep.rest["submitted"] = plan.submitted
    sweep.num_expected = 0 if space is None else space.settings.n_trials
    sweep.damaged = stored.damaged
    sweep.prepare(left or plan.jobs)
    sweep.open(folder, plan.jobs, len(plan.jobs) - len(left))
    counts = Counter("damaged" if number in stored.lost else status for number, status in stored.status.items())
    sweep.screen.say(
        f"resume   {layout.relative(folder)}: {', '.join(f'{n} {status}' for status, n in counts.items())}"
    )
    for job in left:
        if job_folder.lost_summary(job.folder(folder)):
            path = layout.relative(job.folder(folder)) / layout.SUMMARY
            complain(f"warning: {path} is missing or damaged; it is written again from the run")
    sweep.screen.say()
    with _launched(sweep, plan, typed) as launch:
        if space is not None:
            search.run(sweep, space, launch, left)
        elif left:
            launch(left)


@contextmanager
def _launched(sweep: Sweep, plan: Plan, typed: Source) -> Iterator[Callable[[list[Job]], object]]:
    """Yield what runs jobs: here; with the launcher that was typed; or with the stored one, if this user signed it."""
    stored = plan.launcher if plan.signed else None
    if stored is None and not typed.overrides:
        yield sweep.run
        return
    from trainer.sweep.hydra_task import Task

    task = Task(sweep, typed)
    with compose.launcher(typed, stored, task, sweep.need_folder(), signed=plan.signed) as launcher:

        def launch(jobs: list[Job]) -> None:
            task.numbers = [job.number for job in jobs]
            launcher.launch([[] for _ in jobs], 0)

        yield sweep.run if launcher is None else launch


def _to_the_end(sweep: Sweep, run: Callable[[], object]) -> int:
    """Run, and rank the jobs even if a signal interrupts them. Returns the exit code."""
    try:
        run()
    except Interrupted:
        sweep.end()
        raise
    return sweep.end()
