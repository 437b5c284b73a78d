"""How a search proposes and what it may spend: the keys below hydra.sweeper, checked."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.config.durations import in_seconds
from trainer.errors import ConfigError
from trainer.terminal.spelling import closest

KEY = "hydra.sweeper"
KEYS = [f"{KEY}.{name}" for name in ("n_trials", "seed", "sampler", "pruner", "max_time")]
SAMPLERS = ("tpe", "random", "gp", "cmaes")
PRUNERS = ("median", "hyperband", "none")
DEFAULT_PRUNER = "median"  # see benchmarks/search.py


@dataclass(frozen=True)
class SearchSettings:
    """n_trials: jobs in all; seed: of what is proposed; sampler, pruner: of SAMPLERS and PRUNERS, a pruner of None is
    the default; max_time: as typed (10m), after which no job starts; None: no limit."""

    n_trials: int = 20
    seed: int = 0
    sampler: str = "tpe"
    pruner: str | None = None
    max_time: str | None = None

    def __post_init__(self) -> None:
        """Raise ConfigError for a wrong value."""
        is_number = isinstance(self.n_trials, int) and not isinstance(self.n_trials, bool)
        if not is_number or self.n_trials < 1:
            raise ConfigError(f"{KEY}.n_trials={self.n_trials} must be a whole number from 1", f"{KEY}.n_trials=40")
        _check("sampler", self.sampler, SAMPLERS)
        if self.pruner is not None:
            _check("pruner", self.pruner, PRUNERS)
        _ = self.seconds

    @property
    def seconds(self) -> float | None:
        """max_time in seconds. Raises ConfigError for what is not a time."""
        return None if self.max_time is None else in_seconds(self.max_time, f"{KEY}.max_time")

    @classmethod
    def of_sweeper(cls, node: Mapping[str, Any]) -> "SearchSettings":
        """The settings of a composed hydra.sweeper: optuna, or random, which has neither sampler nor pruner. `prune` is
        what versions before 0.7.0 had for `pruner`."""
        prune, pruner = node.get("prune"), node.get("pruner", "none")
        if prune is not None and pruner is not None and prune == (pruner == "none"):
            text = f"{KEY}.prune={str(prune).lower()} and {KEY}.pruner={pruner} contradict each other"
            raise ConfigError(text, f"{KEY}.pruner={pruner}")
        if prune is False:
            pruner = "none"
        return cls(node["n_trials"], node["seed"], node.get("sampler", "random"), pruner, node["max_time"])

    @classmethod
    def of_data(cls, data: Mapping[str, Any]) -> "SearchSettings":
        """The settings that sweep.json holds. Versions before 0.7.0 stored n_trials, seed and prune."""
        before = "median" if data.get("prune") else "none"
        rest = (data.get("sampler", "tpe"), data.get("pruner", before), data.get("max_time"))
        return cls(data["n_trials"], int(data["seed"]), *rest)


def _check(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        text = f"{KEY}.{name}={value}: there is {', '.join(known)}"
        raise ConfigError(text, f"{KEY}.{name}={closest(str(value), known) or known[0]}")
