"""Search with optuna: it proposes jobs, learns from their results and stops those that trail. No torch, no Hydra.

Trial n is job n. Nothing of the study is stored: each start builds it again from the jobs and their folders.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trainer.compare.rows import Row
from trainer.config.search_space import Axis, Space
from trainer.disk import history, layout
from trainer.disk.summary import UNREADABLE
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError, StorageError
from trainer.processes import signals
from trainer.sweep.sweep import Sweep

LOOK = 1.0  # seconds between two looks at the metrics of a running job
OPEN = ("waiting", "running", "stopped", "interrupted", UNREADABLE)


def import_optuna() -> Any:
    """The library. Raises ConfigError if it is not installed."""
    try:
        import optuna
    except ImportError:
        raise ConfigError("hydra/sweeper=optuna needs optuna 5", "pip install 'fiveline[optuna]'") from None
    return optuna


def run(sweep: Sweep, space: Space, launch: Callable[[list[Job]], object], left: Sequence[Job] = ()) -> None:
    """Run the jobs that earlier starts left open or that failed, under their own numbers; then what optuna proposes
    until there are n_trials jobs. launch: runs planned jobs."""
    study = Search(space, sweep.monitor, sweep.mode)
    again = {job.number for job in left}
    for job in sweep.jobs:
        study.add(job, sweep.row(job), job.folder(sweep.need_folder()), is_open=job.number in again)
    study.begin()
    sweep.trails = study.trails
    if left:
        launch(list(left))
        study.tell(left, sweep)
    with signals.listening():  # between two rounds too
        while (first := len(sweep.jobs)) < space.n_trials:
            numbers = range(first, min(space.n_trials, first + max(1, len(sweep.places))))
            jobs = [space.job(number, study.ask()) for number in numbers]
            sweep.plan(jobs)
            launch(jobs)
            study.tell(jobs, sweep)


class Search:
    """A study over a space, by one metric. mode: max or min, its better direction. Add the jobs that there are, in
    their order; then begin."""

    def __init__(self, space: Space, metric: str, mode: str) -> None:
        self.optuna = import_optuna()
        self.optuna.logging.set_verbosity(self.optuna.logging.WARNING)
        pruners = self.optuna.pruners
        direction = "maximize" if mode == "max" else "minimize"
        pruner = pruners.MedianPruner() if space.prune else pruners.NopPruner()
        self.study = self.optuna.create_study(direction=direction, pruner=pruner)
        self.space, self.metric = space, metric
        self.distributions = {axis.key: _distribution(self.optuna.distributions, axis) for axis in space.axes}
        self.last_look: dict[int, float] = {}  # job number -> seconds
        self.trials: dict[int, Any] = {}  # the open ones, by job number

    def add(self, job: Job, row: Row, folder: Path, *, is_open: bool) -> None:
        """Add a job of an earlier start. is_open: it is run again. Raises StorageError for one that is not of this
        search."""
        values = {} if is_open or row.unreadable else self._curve(folder)
        try:
            params = {
                axis.key: job.trial[axis.key] if axis.choices else axis.value(job.trial[axis.key])
                for axis in self.space.axes
            }
            state = self.optuna.trial.TrialState.RUNNING if is_open else self._state(row)
            value = row.value(self.metric) if state.name == "COMPLETE" else None
            trial = self.optuna.trial.create_trial(
                state=state, value=value, params=params, distributions=self.distributions, intermediate_values=values
            )
            self.study.add_trial(trial)
            if job.number != len(self.study.trials) - 1:
                raise ValueError(f"job {job.number} is not in its place")
        except (KeyError, ValueError, TypeError) as error:
            raise StorageError(f"{layout.SWEEP}: job {job.number} is not a trial of its search: {error}") from error

    def begin(self) -> None:
        """Let optuna propose. With the same seed a resumed search would propose the same values again."""
        trials = self.study.trials
        self.study.sampler = self.optuna.samplers.TPESampler(seed=self.space.seed + len(trials))
        is_open = self.optuna.trial.TrialState.RUNNING
        self.trials = {t.number: self.optuna.Trial(self.study, t._trial_id) for t in trials if t.state == is_open}

    def ask(self) -> dict[str, str]:
        """The next trial: {axis: value as typed}."""
        trial = self.study.ask(self.distributions)
        self.trials[trial.number] = trial
        return {key: value if isinstance(value, str) else repr(value) for key, value in trial.params.items()}

    def tell(self, jobs: Sequence[Job], sweep: Sweep) -> None:
        """Report the results of jobs. Those that have not ended stay open."""
        for job in jobs:
            row = sweep.row(job)
            if row.status not in OPEN:
                self._report(job, job.folder(sweep.need_folder()))
                state = self._state(row)
                value = row.value(self.metric) if state.name == "COMPLETE" else None
                self.study.tell(job.number, value, state=state)

    def trails(self, job: Job, folder: Path) -> bool:
        """Whether a running job is worse than the median of the others at the same step, and may be stopped."""
        now = time.monotonic()
        if now - self.last_look.get(job.number, 0.0) < LOOK:
            return False
        self.last_look[job.number] = now
        self._report(job, folder)
        return bool(self.trials[job.number].should_prune())

    def _report(self, job: Job, folder: Path) -> None:
        trial = self.trials[job.number]
        known = self.study._storage.get_trial(trial._trial_id).intermediate_values
        for step, value in self._curve(folder).items():
            if step not in known:
                trial.report(value, step)

    def _curve(self, folder: Path) -> dict[int, float]:
        """The metric of each evaluation, by step."""
        return {int(row["step"]): row[self.metric] for row in history.read(folder).evaluations if self.metric in row}

    def _state(self, row: Row) -> Any:
        states = self.optuna.trial.TrialState
        if row.status == "pruned":
            return states.PRUNED
        return states.FAIL if row.value(self.metric) is None else states.COMPLETE


def _distribution(distributions: Any, axis: Axis) -> Any:
    if axis.choices:
        return distributions.CategoricalDistribution(axis.choices)
    if axis.integer:
        return distributions.IntDistribution(int(axis.low), int(axis.high), log=axis.log)
    return distributions.FloatDistribution(axis.low, axis.high, log=axis.log)
