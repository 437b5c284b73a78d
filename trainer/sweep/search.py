"""Search: jobs are proposed a batch at a time, as many as run side by side, and their results decide the next ones.

Trial n is job n. What has ended is told in the order of the jobs, in the batches in which they were proposed.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from trainer.config.search_space import Space
from trainer.disk import history
from trainer.disk.summary import UNREADABLE
from trainer.disk.sweep_plan import Job
from trainer.processes import signals
from trainer.sweep.draws import Draws
from trainer.sweep.study import Study, check_study
from trainer.sweep.sweep import Sweep

OPEN = ("waiting", "running", "stopped", "interrupted", UNREADABLE)


def check(space: Space) -> None:
    """Raise ConfigError for a search that cannot start, before a folder is made."""
    if not _is_drawn(space):
        check_study(space)


def note(space: Space) -> str:
    """What there is to know about how a search will propose; mostly nothing."""
    lists = [axis.key for axis in space.axes if axis.choices]
    at_random = space.settings.sampler == "cmaes" and lists
    return f"cmaes searches the intervals; it draws {', '.join(lists)} at random" if at_random else ""


def run(sweep: Sweep, space: Space, launch: Callable[[list[Job]], object], left: Sequence[Job] = ()) -> None:
    """Run the jobs that earlier starts left open or that failed, under their own numbers; then propose others until
    there are n_trials jobs, or the time is over. launch: runs planned jobs."""
    proposer = Draws(space) if _is_drawn(space) else Study(space, sweep.monitor, sweep.mode)
    width, again = max(1, len(sweep.places)), {job.number for job in left}

    def tell(jobs: Sequence[Job]) -> None:
        for job in jobs:
            row = sweep.row(job)
            if row.status not in OPEN:
                proposer.tell(job, row, values(job.folder(sweep.need_folder()), sweep.monitor))

    for first in range(0, len(sweep.jobs), width):
        batch = sweep.jobs[first : first + width]
        for job in batch:
            proposer.restore(job.number, job.trial)
        tell([job for job in batch if job.number not in again])
    sweep.prunes = proposer.prunes
    if space.settings.seconds is not None:
        sweep.ends_at = time.monotonic() + space.settings.seconds
    if left:
        launch(list(left))
        tell(left)
    num_trials = space.settings.n_trials
    with signals.listening():  # between two rounds too
        while (first := len(sweep.jobs)) < num_trials and not sweep.is_over:
            numbers = range(first, min(num_trials, first + width))
            jobs = [space.job(number, proposer.ask(number)) for number in numbers]
            sweep.plan(jobs)
            launch(jobs)
            tell(jobs)


def values(folder: Path, metric: str) -> list[float]:
    """The metric of each evaluation of a run."""
    return [row[metric] for row in history.read(folder).evaluations if metric in row]


def _is_drawn(space: Space) -> bool:
    """Whether nothing of a search needs optuna."""
    return (space.settings.sampler, space.settings.pruner) == ("random", "none")
