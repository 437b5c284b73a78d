"""Search with optuna: it proposes jobs, learns from their results and stops those that trail. No torch, no Hydra.

Trial n is job n. The study is stored in the sweep's folder, so that a search can resume where it stopped.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.compare.rows import Row, mode
from trainer.config.search_space import Axis
from trainer.disk import history
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError

STORAGE = "optuna.log"
LOOK = 1.0  # seconds between two looks at the metrics of a running job


def import_optuna() -> Any:
    """The library. Raises ConfigError if it is not installed."""
    try:
        import optuna
    except ImportError:
        raise ConfigError("hydra/sweeper=optuna needs optuna 5", "pip install 'fiveline[optuna]'") from None
    return optuna


class Search:
    """A study over axes, stored in `folder`. constant: overrides that every job has; prune: stop jobs that trail."""

    def __init__(
        self, folder: Path, axes: Sequence[Axis], constant: Sequence[str], metric: str, seed: int, prune: bool
    ) -> None:
        optuna = import_optuna()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder / STORAGE)))
        self.states = optuna.trial.TrialState
        direction = "maximize" if mode(metric) == "max" else "minimize"
        pruner = optuna.pruners.MedianPruner() if prune else optuna.pruners.NopPruner()
        self.study = optuna.create_study(
            study_name="sweep", storage=storage, load_if_exists=True, direction=direction, pruner=pruner
        )
        # With the same seed, a resumed search would propose the same values again.
        self.study.sampler = optuna.samplers.TPESampler(seed=seed + len(self.study.trials))
        self.axes, self.constant, self.metric = list(axes), list(constant), metric
        self.last_look: dict[int, float] = {}  # job number -> seconds
        self.trials = {trial.number: optuna.Trial(self.study, trial._trial_id) for trial in self.study.trials}

    def ask(self, number: int) -> list[str]:
        """The overrides of a job; the earlier proposal if the sweep was killed before it planned the job."""
        if number not in self.trials:
            trial = self.study.ask()
            self.trials[trial.number] = trial
        return [*self.constant, *(f"{axis.key}={_suggest(self.trials[number], axis)}" for axis in self.axes)]

    def tell(self, job: Job, row: Row) -> bool:
        """Report a job's result to optuna. Returns whether it has ended: waiting and interrupted jobs stay open."""
        if row.status in ("waiting", "running", "stopped"):
            return False
        if not self.study.trials[job.number].state.is_finished():
            value = row.value(self.metric)
            failed = self.states.PRUNED if row.status == "pruned" else self.states.FAIL
            self.study.tell(job.number, value, state=None if value is not None else failed)
        return True

    def trails(self, job: Job, folder: Path) -> bool:
        """Whether a running job is worse than the median of the others at the same step, and may be stopped."""
        now = time.monotonic()
        if now - self.last_look.get(job.number, 0.0) < LOOK:
            return False
        self.last_look[job.number] = now
        trial = self.trials[job.number]
        known = self.study._storage.get_trial(trial._trial_id).intermediate_values
        for row in history.read(folder).evaluations:
            if self.metric in row and int(row["step"]) not in known:
                trial.report(row[self.metric], int(row["step"]))
        return bool(trial.should_prune())


def _suggest(trial: Any, axis: Axis) -> str:
    if axis.choices:
        return str(trial.suggest_categorical(axis.key, axis.choices))
    if axis.integer:
        return str(trial.suggest_int(axis.key, int(axis.low), int(axis.high), log=axis.log))
    return repr(trial.suggest_float(axis.key, axis.low, axis.high, log=axis.log))
