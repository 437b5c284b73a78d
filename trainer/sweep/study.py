"""A study of optuna's: it proposes trials, learns from their results, and says which jobs to stop. No torch, no Hydra.

Trial n is job n. Nothing of the study is stored: each start makes it again from the jobs, by the same calls in the same
order. The sampler is new for each trial, its seed a function of the search's seed and the trial's number. So a search
that was stopped and resumed proposes what one that never stopped would have.
"""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from trainer.compare.rows import Row
from trainer.config.search_settings import KEY, SearchSettings
from trainer.config.search_space import Space
from trainer.disk import layout
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError, StorageError
from trainer.sweep.draws import Draws

NEEDS = {"gp": ("torch", "scipy"), "cmaes": ("cmaes",)}  # libraries of a sampler, beside optuna
INSTALL = "pip install 'fiveline[optuna]'"


def check_study(space: Space) -> None:
    """Raise ConfigError for a library that is not installed, and for axes that the sampler cannot search."""
    sampler = space.settings.sampler
    try:
        import optuna  # noqa: F401
    except ImportError:
        raise ConfigError("hydra/sweeper=optuna needs optuna 5", INSTALL) from None
    for name in NEEDS.get(sampler, ()):
        if find_spec(name) is None:
            raise ConfigError(f"{KEY}.sampler={sampler} needs {name}", INSTALL)
    if sampler == "cmaes" and sum(not axis.choices for axis in space.axes) < 2:
        text = f"{KEY}.sampler=cmaes needs at least two intervals to search; it draws from lists at random"
        raise ConfigError(text, f"{KEY}.sampler=tpe")


class Study:
    """A study over a space, by one metric. mode: max or min, its better direction."""

    def __init__(self, space: Space, metric: str, mode: str) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.optuna, self.space, self.metric = optuna, space, metric
        direction: Any = "maximize" if mode == "max" else "minimize"
        # The name is fixed, since Hyperband derives the bracket of a trial from it.
        self.study = optuna.create_study(direction=direction, pruner=_pruner(optuna, space), study_name="search")
        self.distributions = {axis.key: axis.distribution(optuna) for axis in space.axes}
        self.trials: dict[int, Any] = {}  # the open ones, by job number

    def ask(self, number: int) -> dict[str, str]:
        """Propose the trial of a job: {axis: value as typed}."""
        if self.space.settings.sampler == "random":  # the same trials, whatever prunes them
            trial = Draws(self.space).ask(number)
            self.restore(number, trial)
            return trial
        params = self._open(number).params
        return {key: value if isinstance(value, str) else repr(value) for key, value in params.items()}

    def restore(self, number: int, trial: Mapping[str, str]) -> None:
        """Open the trial of a job, {axis: value as typed}. Raises StorageError for one that is not of this search."""
        params: dict[str, Any] = {}
        try:
            for axis in self.space.axes:
                value = axis.value(trial[axis.key])
                params[axis.key] = trial[axis.key] if axis.choices else value
            if number != len(self.study.trials):
                raise ValueError(f"job {number} is not in its place")
        except (KeyError, ValueError, TypeError) as error:
            raise StorageError(f"{layout.SWEEP}: job {number} is not a trial of its search: {error}") from error
        self.study.enqueue_trial(params)
        opened = self._open(number)
        if self.space.settings.sampler == "cmaes":
            _ = opened.relative_params  # CMA-ES keeps its state in the trials that it proposes

    def prunes(self, job: Job, values: Sequence[float]) -> bool:
        """Whether a running job ends here. values: of its metric, in the evaluations since the last call."""
        trial, answer = self.trials[job.number], False
        for value in values:
            self._report(trial, value)
            answer = bool(trial.should_prune())  # numpy has booleans of its own
        return answer

    def tell(self, job: Job, row: Row, values: Sequence[float]) -> None:
        """Learn the result of a job that has ended. values: of its metric, in all of its evaluations."""
        trial, states = self.trials[job.number], self.optuna.trial.TrialState
        asked = len(values) if row.status == "pruned" else len(values) - 1  # a job that is over does not ask
        self.prunes(job, values[self._num_known(trial) : asked])  # Hyperband notes here how far the trial has come
        for value in values[self._num_known(trial) :]:
            self._report(trial, value)
        result = row.value(self.metric) if row.status != "pruned" else None
        state = states.PRUNED if row.status == "pruned" else states.FAIL if result is None else states.COMPLETE
        self.study.tell(self.trials.pop(job.number), result, state)

    def _open(self, number: int) -> Any:
        self.study.sampler = _sampler(self.optuna.samplers, self.space.settings, number)
        self.trials[number] = self.study.ask(self.distributions)
        return self.trials[number]

    def _report(self, trial: Any, value: float) -> None:
        """Report the next evaluation. They are counted, since equal steps mean other things with other batches."""
        trial.report(value, self._num_known(trial) + 1)

    def _num_known(self, trial: Any) -> int:
        return len(self.study._storage.get_trial(trial._trial_id).intermediate_values)


def _sampler(samplers: Any, settings: SearchSettings, number: int) -> Any:
    """A sampler for one trial."""
    digest = hashlib.blake2b(f"{settings.seed} {number}".encode(), digest_size=4).digest()
    known = {"tpe": "TPESampler", "random": "RandomSampler", "gp": "GPSampler", "cmaes": "CmaEsSampler"}
    return getattr(samplers, known[settings.sampler])(seed=int.from_bytes(digest, "little"))


def _pruner(optuna: Any, space: Space) -> Any:
    """The pruner; what it counts are evaluations."""
    if space.settings.pruner == "hyperband":
        return optuna.pruners.HyperbandPruner(1, space.num_evaluations or "auto", reduction_factor=3)
    return optuna.pruners.MedianPruner() if space.settings.pruner == "median" else optuna.pruners.NopPruner()
