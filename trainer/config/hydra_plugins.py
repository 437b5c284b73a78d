"""Hydra 1.3's side of a sweep: a launcher, a sweeper that composes a grid once, and the function both call.

Hydra looks plugins up by a name below `hydra_plugins`, so they get one; no such folder is needed.
"""

import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, open_dict, read_write

from trainer.config import compose
from trainer.config.compose import Source
from trainer.disk import sweep_plan
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError
from trainer.sweep.search import Axis, Search, imported
from trainer.sweep.sweep import Sweep
from trainer.terminal.screen import Screen

Plugins.instance()  # its scan executes Hydra's plugin modules anew, so a class imported before is not theirs
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper  # noqa: E402

MOST = 10_000  # jobs that need no sweep.confirm=true
NAMES = "hydra_plugins.trainer_sweep"


class Task:
    """What Hydra calls the task function. Hydra's own launchers call it once a job, ours takes its sweep."""

    def __init__(self, sweep: Sweep, source: Source) -> None:
        self.sweep, self.source = sweep, source

    def plan(self, loader: Any, config: DictConfig, batch: Sequence[Sequence[str]], first: int) -> None:
        """Compose, check and take on the jobs of a batch, unless they were."""
        if first < len(self.sweep.jobs):
            return
        local = str(config.hydra.runtime.choices.get("hydra/launcher")) in ("local", "basic")
        jobs = list(composed(loader, config, batch, first, self.source))
        folder = self.sweep.plan(jobs, locally=local)
        with read_write(config), read_write(config.hydra), open_dict(config.hydra.sweep):
            config.hydra.sweep.dir = str(folder.absolute())

    def search(self, loader: Any, config: DictConfig, launcher: Any, axes: Sequence[Axis], constant: list[str]) -> None:
        """Launch what optuna proposes until there are n_trials jobs, first those that an earlier start left open."""
        sweep, options = self.sweep, config.hydra.sweeper
        sweep.num_expected = options.n_trials
        if sweep.folder is None:
            sample = [*constant, *(f"{axis.key}={axis.sample()}" for axis in axes)]
            sweep.begin(list(composed(loader, config, [sample], 0, self.source)))
        study = Search(sweep.need_folder(), axes, constant, sweep.monitor, options.seed, options.prune)
        sweep.trails = study.trails
        open_jobs = [job for job in sweep.jobs if not study.tell(job, sweep.row(job))]
        if open_jobs:
            sweep.run(open_jobs)
        while len(sweep.jobs) < options.n_trials:
            first = len(sweep.jobs)
            last = min(options.n_trials, first + len(sweep.places))
            launcher.launch([study.ask(number) for number in range(first, last)], first)
            for job in sweep.jobs[first:]:
                study.tell(job, sweep.row(job))

    def __call__(self, cfg: Any) -> int:
        return self.sweep.run_here(int(HydraConfig.get().job.num))

    def __getstate__(self) -> Path:
        return self.sweep.need_folder().absolute()

    def __setstate__(self, folder: Path) -> None:
        """In a process on another machine, the sweep is what its folder says."""
        typed, jobs = sweep_plan.read_plan(folder)
        self.sweep, self.source = Sweep(typed, Screen()), Source(typed, [])
        self.sweep.folder, self.sweep.jobs = folder, jobs


class LocalLauncher(Launcher):
    """hydra/launcher=local: processes on this machine."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        self.loader, self.task, self.config = hydra_context.config_loader, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        self.task.plan(self.loader, self.config, job_overrides, initial_job_idx)
        sweep = self.task.sweep
        sweep.run(sweep.jobs[initial_job_idx : initial_job_idx + len(job_overrides)])
        done = JobReturn(status=JobStatus.COMPLETED)
        done.return_value = 0
        return [done for _ in job_overrides]


class GridSweeper(BasicSweeper):
    """hydra/sweeper=basic: Hydra's own grammar and order, but all jobs are composed and checked before one starts."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.task = task_function

    def sweep(self, arguments: list[str]) -> Any:
        loader = self.hydra_context.config_loader  # type: ignore[union-attr]
        overrides = OverridesParser.create(config_loader=loader).parse_overrides([*self._parse_config(), *arguments])
        check_size(overrides, bool(self.config.sweep.confirm))  # type: ignore[union-attr]
        batches = self.split_arguments(overrides, self.max_batch_size)
        self.task.plan(loader, self.config, [job for batch in batches for job in batch], 0)
        firsts = itertools.accumulate(map(len, batches), initial=0)
        return [self.launcher.launch(batch, first) for batch, first in zip(batches, firsts, strict=False)]  # type: ignore[union-attr]


class OptunaSweeper(GridSweeper):
    """hydra/sweeper=optuna: jobs are proposed a batch at a time, as many as run side by side."""

    def __init__(self, n_trials: int, seed: int, prune: bool, params: dict[str, str] | None = None) -> None:
        super().__init__(None, params)  # Task.search reads the rest from the config

    def sweep(self, arguments: list[str]) -> Any:
        loader = self.hydra_context.config_loader  # type: ignore[union-attr]
        overrides = OverridesParser.create(config_loader=loader).parse_overrides([*self._parse_config(), *arguments])
        imported()
        axes = [axis(override) for override in overrides if override.is_sweep_override()]
        constant = [str(override.input_line) for override in overrides if not override.is_sweep_override()]
        if not axes:
            raise ConfigError("hydra/sweeper=optuna: nothing to search", "optimizer.lr=tag(log,interval(1e-4,1e-1))")
        self.task.search(loader, self.config, self.launcher, axes, constant)


@dataclass
class LocalConf:
    _target_: str = f"{NAMES}.LocalLauncher"


@dataclass
class OptunaConf:
    _target_: str = f"{NAMES}.OptunaSweeper"
    n_trials: int = 20
    seed: int = 0
    prune: bool = True
    params: dict[str, Any] | None = field(default=None)


@dataclass
class GridConf:
    _target_: str = f"{NAMES}.GridSweeper"
    max_batch_size: int | None = None
    params: dict[str, Any] | None = field(default=None)


def register() -> None:
    """Tell Hydra of the launcher and the sweeper. Call it before composing."""
    known = Plugins.instance().class_name_to_class
    for cls in (LocalLauncher, GridSweeper, OptunaSweeper):
        known[f"{NAMES}.{cls.__name__}"] = cls
    store = ConfigStore.instance()
    store.store(group="hydra/launcher", name="local", node=LocalConf, provider="trainer")
    store.store(group="hydra/sweeper", name="basic", node=GridConf, provider="trainer")
    store.store(group="hydra/sweeper", name="optuna", node=OptunaConf, provider="trainer")


def check_size(overrides: Sequence[Override], confirmed: bool) -> None:
    """Raise ConfigError for a grid without a job, or with more than a slip of the finger should start."""
    total = 1
    for override in overrides:
        if override.is_sweep_override() and override.is_discrete_sweep():
            count = sum(1 for _ in itertools.islice(override.sweep_string_iterator(), MOST * 100))
            if count == 0:
                text = f"{override.input_line}: an empty list of values, so there is no job to run"
                raise ConfigError(text, f"{override.get_key_element()}=VALUE,VALUE")
            total *= count
    if total > MOST and not confirmed:
        raise ConfigError(f"this grid has {total:,} jobs, more than {MOST:,}", "sweep.confirm=true, if it is meant")


def axis(override: Override) -> Axis:
    """What optuna may propose for one key: interval(a,b), int(interval(a,b)), tag(log,interval(a,b)), or a list."""
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep) and value.start is not None and value.end is not None:
        whole = isinstance(value.start, int) and isinstance(value.end, int)
        return Axis(key, (), value.start, value.end, whole, "log" in value.tags)
    return Axis(key, tuple(override.sweep_string_iterator()))


def composed(
    loader: Any, config: DictConfig, batch: Sequence[Sequence[str]], first: int, source: Source
) -> Iterator[Job]:
    """The jobs of a batch. Hydra composes once for each set of options picked; plain values are put into a copy by the
    code that Hydra itself uses. Raises ConfigError for a value of a wrong type.
    """
    parser = OverridesParser.create(config_loader=loader)
    groups: dict[str, bool] = {}
    bases: dict[tuple[str, ...], tuple[Any, dict[str, str]]] = {}
    for number, words in enumerate(batch, first):
        pairs = list(zip(words, parser.parse_overrides(list(words)), strict=True))
        plain = [override for _, override in pairs if is_plain(override, loader, groups)]
        shape = tuple(word for word, override in pairs if override not in plain)
        if shape not in bases:
            base = loader.load_sweep_config(config, list(shape))
            choices = compose.choices_of(base.hydra.runtime.choices)
            del base._content["hydra"]
            bases[shape] = base, choices
        base, choices = bases[shape]
        cfg = copy.deepcopy(base)
        with read_write(cfg):
            ConfigLoaderImpl._apply_overrides_to_config(plain, cfg)
        task = [word for word, override in pairs if not override.is_hydra_override()]
        data = compose.plain_data(cfg)
        compose.checked(data, Source(task, source.folders, source.name), choices)
        yield Job(number, task, data)


def is_plain(override: Override, loader: Any, groups: dict[str, bool]) -> bool:
    """Whether it picks no option: it only sets, adds or removes a key. groups: which keys are known to be groups."""
    key = override.key_or_group
    if key not in groups:
        groups[key] = bool(loader.get_group_options(key))
    return override.package is None and not override.is_hydra_override() and not groups[key]
