"""The task function that Hydra's launchers and sweepers call: it plans, searches and runs the jobs of one sweep."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trainer.config.hydra_plugins import job_number
from trainer.config.search_space import Axis
from trainer.config.source import Source
from trainer.disk import sweep_plan
from trainer.disk.sweep_plan import Job
from trainer.processes import signals
from trainer.sweep.search import Search, import_optuna
from trainer.sweep.sweep import Sweep
from trainer.terminal.screen import Screen


class Task:
    """Hydra's task function. Hydra's launchers call it once for each job; trainer's launcher calls `run`."""

    def __init__(self, sweep: Sweep, source: Source) -> None:
        self.sweep, self.source = sweep, source

    def plan(self, jobs: Sequence[Job], *, locally: bool) -> Path:
        """Check the jobs and add them to the sweep. Returns the sweep's folder."""
        return self.sweep.plan(jobs, locally=locally)

    def run(self, first: int, count: int) -> None:
        """Run `count` planned jobs, starting with number `first`, on this machine."""
        self.sweep.run(self.sweep.jobs[first : first + count])

    def search(
        self,
        axes: Sequence[Axis],
        constant: list[str],
        options: Any,
        samples: Sequence[Job],
        run: Callable[[Sequence[Sequence[str]], int], None],
    ) -> None:
        """Run the jobs that an earlier start left open, then what optuna proposes until there are n_trials jobs.
        options: the config of hydra.sweeper. samples: jobs with every choice, and the ends of each interval.
        run: takes (overrides of each job, number of the first).
        """
        import_optuna()  # before a folder is made
        sweep = self.sweep
        sweep.num_expected = options.n_trials
        if sweep.folder is None:
            sweep.begin(samples, is_search=True)
        study = Search(sweep.need_folder(), axes, constant, sweep.monitor, options.seed, options.prune)
        sweep.trails = study.trails
        if open_jobs := [job for job in sweep.jobs if not study.tell(job, sweep.row(job))]:
            sweep.run(open_jobs)
        with signals.listening():  # between two rounds too
            while len(sweep.jobs) < options.n_trials:
                first = len(sweep.jobs)
                last = min(options.n_trials, first + len(sweep.places))
                run([study.ask(number) for number in range(first, last)], first)
                for job in sweep.jobs[first:]:
                    study.tell(job, sweep.row(job))

    def __call__(self, cfg: Any) -> int:
        return self.sweep.run_here(job_number())

    def __getstate__(self) -> Path:
        return self.sweep.need_folder().absolute()

    def __setstate__(self, folder: Path) -> None:
        """Read the sweep from its folder, in a process on another machine."""
        typed, jobs = sweep_plan.read_plan(folder)
        self.sweep, self.source = Sweep(typed, Screen()), Source(typed, [])
        self.sweep.folder, self.sweep.jobs = folder, jobs
