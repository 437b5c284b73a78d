"""The task function that Hydra's launchers and sweepers call: it plans, searches and runs the jobs of one sweep."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.config.hydra_plugins import job_number
from trainer.config.search_space import Space
from trainer.config.source import Source
from trainer.config.trust import Trust
from trainer.disk import layout, sweep_plan
from trainer.disk.sweep_plan import Job
from trainer.sweep import search
from trainer.sweep.comparable import check_comparable
from trainer.sweep.sweep import Sweep
from trainer.terminal.screen import Screen


class Task:
    """Hydra's task function. Hydra's launchers call it once for each job; trainer's launcher calls `run`."""

    def __init__(self, sweep: Sweep, source: Source) -> None:
        self.sweep, self.source = sweep, source
        self.numbers: list[int] = []  # of the jobs that a resume launches, if not all in their order

    def plan(self, jobs: Sequence[Job], launcher: Mapping[str, Any] | None) -> Path:
        """Check the jobs and add them to the sweep. Returns the sweep's folder. launcher: see Sweep.plan."""
        return self.sweep.plan(jobs, launcher)

    def use(self, name: str, settings: Mapping[str, Any]) -> None:
        """Run the jobs on a cluster, slurm or ray. settings: hydra.launcher, as plain data. Raises ConfigError where no
        job can be run on it."""
        from trainer.sweep.ray import Ray
        from trainer.sweep.slurm import Slurm

        cluster = (Slurm if name == "slurm" else Ray)(self.sweep, settings)
        cluster.check()
        self.sweep.runner = cluster.run

    def run(self, first: int, count: int) -> None:
        """Run `count` planned jobs, starting with the one at `first`."""
        numbers = self.numbers or range(first, first + count)
        self.sweep.run([self.sweep.jobs[number] for number in numbers])

    def search(self, space: Space, launcher: Mapping[str, Any] | None, launch: Callable[[list[Job]], object]) -> None:
        """Propose and run the jobs of a new search. launch: runs planned jobs."""
        search.check(space)
        sweep, samples = self.sweep, [space.job(number, trial) for number, trial in enumerate(space.samples())]
        samples.sort(key=lambda job: -job.data["epochs"])  # the longest is built, to see how often jobs are evaluated
        sweep.num_expected = space.settings.n_trials
        layout.check_writable(samples[0].data["output_dir"])
        sweep.prepare(samples)
        check_comparable(samples, sweep.monitor)
        space = space.planned(sweep.num_evaluations)
        sweep.begin(samples, search.note(space))
        sweep.rest = {"search": space.as_data(), "launcher": launcher}
        search.run(sweep, space, launch)

    def __call__(self, cfg: Any) -> int:
        number = job_number()
        return self.sweep.run_here(self.numbers[number] if self.numbers else number)

    def __getstate__(self) -> dict[str, Any]:
        trust = self.sweep.trust
        return {"folder": self.sweep.need_folder().absolute(), "numbers": self.numbers, "typed": trust.typed}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """Read the sweep from its folder, in a process on another machine."""
        plan = sweep_plan.read_plan(state["folder"])
        self.sweep = Sweep(plan.typed, Screen(), Trust(plan.signed, state["typed"]))
        self.source, self.numbers = Source(plan.typed, []), state["numbers"]
        self.sweep.folder, self.sweep.jobs = state["folder"], plan.jobs
