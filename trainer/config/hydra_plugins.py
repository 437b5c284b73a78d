"""Hydra 1.3's side of a sweep: a launcher, and sweepers that compose and check all jobs before one starts.

Hydra looks plugins up by a name below `hydra_plugins`, so they get one; no such folder is needed.
"""

import itertools
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.config_store import ConfigStore
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.types import IntervalSweep, Override
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf, open_dict, read_write

from trainer.config.combinations import check_size, combinations, zipped
from trainer.config.grid import Grid
from trainer.config.search_settings import SearchSettings
from trainer.config.search_space import Axis, Space
from trainer.config.variants import variants
from trainer.disk import folder as folders
from trainer.disk import storage
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError, StorageError

Plugins.instance()  # its scan executes Hydra's plugin modules again, so import their classes after it
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper  # noqa: E402

NAMES = "hydra_plugins.trainer_sweep"
OF_SUBMITIT = "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher"  # SlurmLauncher stands for it
SUBMITIT = ".submitit"  # where hydra-submitit-launcher keeps its jobs, in the sweep's folder


class LocalLauncher(Launcher):
    """hydra/launcher=local: processes on this machine."""

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        self.task = task_function

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        self.task.run(initial_job_idx, len(job_overrides))
        done = JobReturn(status=JobStatus.COMPLETED)
        done.return_value = 0
        return [done for _ in job_overrides]


class ClusterLauncher(LocalLauncher):
    """Processes on the machines of a cluster, whose `name` is slurm or ray."""

    name: ClassVar[str]

    def __init__(self, **settings: Any) -> None:
        self.settings: Any = OmegaConf.to_container(OmegaConf.create(settings), resolve=True)

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.task.use(self.name, self.settings)


class SlurmLauncher(ClusterLauncher):
    """hydra/launcher=submitit_slurm, and slurm, which is made of it: the settings of hydra-submitit-launcher. That one
    asks sacct, which many clusters do not have, and says nothing until all jobs have ended."""

    name = "slurm"


class RayLauncher(ClusterLauncher):
    """hydra/launcher=ray, see RayConf."""

    name = "ray"


class GridSweeper(BasicSweeper):
    """hydra/sweeper=basic: Hydra's own grammar and order, but all jobs are composed and checked before one starts."""

    def __init__(
        self, max_batch_size: int | None, params: dict[str, str] | None = None, zip: list[Any] | None = None
    ) -> None:
        super().__init__(max_batch_size, params)
        self.zip: Any = OmegaConf.to_container(zip) if zip is not None else []

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        super().setup(hydra_context=hydra_context, task_function=task_function, config=config)
        self.task, self.settings = task_function, config
        self.grid = Grid(hydra_context.config_loader, config, task_function.source)

    def parse(self, arguments: list[str]) -> list[Override]:
        """The overrides that were typed, after those of hydra.sweeper.params, whose interpolations are each job's."""
        params = OmegaConf.to_container(self.settings.hydra.sweeper, resolve=False).get("params") or {}  # type: ignore[union-attr]
        return self.grid.parser.parse_overrides([*(f"{key}={value}" for key, value in params.items()), *arguments])

    def sweep(self, arguments: list[str]) -> Any:
        overrides = self.parse(arguments)
        zips = zipped(self.zip, overrides)
        check_size(overrides, bool(self.settings.sweep.confirm), zips)
        jobs = self.grid.applicable(list(combinations(overrides, zips)))
        self.at(self.task.plan(list(self.grid.compose_jobs(jobs, 0)), self.elsewhere()))
        batches = list(self.split_overrides_to_chunks(jobs, self.max_batch_size))
        firsts = itertools.accumulate(map(len, batches), initial=0)
        return [self.launcher.launch(batch, first) for batch, first in zip(batches, firsts, strict=False)]  # type: ignore[union-attr]

    def elsewhere(self) -> dict[str, Any] | None:
        """The launcher's settings as plain data; None if it runs the jobs on this machine."""
        return elsewhere(self.settings)

    def at(self, folder: Path) -> None:
        """Let the launcher work in the sweep's folder."""
        set_folder(self.settings, folder)


class SearchSweeper(GridSweeper):
    """hydra/sweeper=optuna and random: jobs are proposed a batch at a time, as many as run side by side."""

    def __init__(self, params: dict[str, str] | None = None, **settings: Any) -> None:
        super().__init__(None, params)  # the settings are read from the config

    def sweep(self, arguments: list[str]) -> Any:
        overrides = self.parse(arguments)
        axes = [axis(override, self.grid) for override in overrides if override.is_sweep_override()]
        constant = [str(override.input_line) for override in overrides if not override.is_sweep_override()]
        if not axes:
            name = self.settings.hydra.runtime.choices["hydra/sweeper"]
            raise ConfigError(f"hydra/sweeper={name}: nothing to search", "'optimizer.lr=tag(log,interval(1e-4,1e-1))'")
        settings = SearchSettings.of_sweeper(OmegaConf.to_container(self.settings.hydra.sweeper, resolve=True))  # type: ignore[arg-type]
        self.task.search(Space(axes, variants(self.grid, axes, constant), settings), self.elsewhere(), self.run)

    def run(self, jobs: Sequence[Job]) -> None:
        """Run planned jobs."""
        self.at(self.task.sweep.need_folder())
        self.launcher.launch([job.overrides for job in jobs], jobs[0].number)  # type: ignore[union-attr]


@dataclass
class RayConf:
    """num_cpus, num_gpus, memory_gb, resources: what each job takes of a machine; fractions share a GPU. max_retries:
    how often Ray starts a job again whose machine is lost."""

    _target_: str = f"{NAMES}.RayLauncher"
    address: str = "auto"
    num_cpus: float = 1
    num_gpus: float = 0
    memory_gb: float | None = None
    resources: dict[str, float] = field(default_factory=dict)
    max_retries: int = 3


@dataclass
class OptunaConf:
    _target_: str = f"{NAMES}.SearchSweeper"
    n_trials: int = 20
    seed: int = 0
    sampler: str = "tpe"
    pruner: str | None = None
    prune: bool | None = None  # what versions before 0.7.0 had for pruner
    max_time: str | None = None
    params: dict[str, Any] | None = None


@dataclass
class RandomConf:
    _target_: str = f"{NAMES}.SearchSweeper"
    n_trials: int = 20
    seed: int = 0
    max_time: str | None = None
    params: dict[str, Any] | None = None


@dataclass
class GridConf:
    _target_: str = f"{NAMES}.GridSweeper"
    max_batch_size: int | None = None
    params: dict[str, Any] | None = None
    zip: list[Any] | None = None


def axis(override: Override, grid: Grid) -> Axis:
    """The values that optuna may propose for one key: interval(a,b), int(interval(a,b)), tag(log,interval(a,b)) or a
    list."""
    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep) and value.start is not None and value.end is not None:
        integer = isinstance(value.start, int) and isinstance(value.end, int)
        if value.start > value.end:
            raise ConfigError(f"{override.input_line}: the interval ends before it begins", "interval(LOW,HIGH)")
        if "log" in value.tags and value.start <= 0:
            raise ConfigError(f"{override.input_line}: a log scale begins above 0", "tag(log,interval(1e-5,1e-1))")
        return Axis(key, (), value.start, value.end, integer, "log" in value.tags)
    choices = tuple(override.sweep_string_iterator())
    return Axis(key, choices, values=tuple(grid.parse(f"{key}={choice}").value() for choice in choices))


def elsewhere(config: Any) -> dict[str, Any] | None:
    """The launcher that a config picks, as plain data; None for one that runs the jobs on this machine."""
    if str(config.hydra.runtime.choices.get("hydra/launcher")) in ("local", "basic"):
        return None
    node: Any = OmegaConf.to_container(config.hydra.launcher, resolve=False)
    return dict(node)


def set_folder(config: Any, folder: Path, *, signed: bool = True) -> None:
    """Let a config's launcher work in a sweep's folder. signed: whether this user made it: the launcher reads pickles
    that lie in it. Raises StorageError for those of others, or if a link lies where it will write."""
    if folders.status(scratch := folder / SUBMITIT) is not None:
        if not signed:
            text = f"{scratch} holds jobs of a launcher, which are read as pickles, and is not signed with your key"
            raise StorageError(text, f"rm -r {shlex.quote(str(scratch))}")
        storage.open_folder(scratch)
        folders.check_content(scratch)
    with read_write(config), read_write(config.hydra), open_dict(config.hydra.sweep):
        config.hydra.sweep.dir = str(folder.absolute())


def job_number() -> int:
    """The number of the job that Hydra's launcher runs in this process."""
    return int(HydraConfig.get().job.num)


def register() -> None:
    """Tell Hydra about the launcher and the sweepers. Call it before composing."""
    known = Plugins.instance().class_name_to_class
    for cls in (LocalLauncher, RayLauncher, GridSweeper, SearchSweeper):
        known[f"{NAMES}.{cls.__name__}"] = cls
    known[OF_SUBMITIT] = SlurmLauncher
    store = ConfigStore.instance()
    store.store(group="hydra/launcher", name="local", node={"_target_": f"{NAMES}.LocalLauncher"}, provider="trainer")
    store.store(group="hydra/launcher", name="ray", node=RayConf, provider="trainer")
    store.store(group="hydra/sweeper", name="basic", node=GridConf, provider="trainer")
    store.store(group="hydra/sweeper", name="optuna", node=OptunaConf, provider="trainer")
    store.store(group="hydra/sweeper", name="random", node=RandomConf, provider="trainer")
