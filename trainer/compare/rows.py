"""Runs as rows of a table: the settings in which they differ, and their results. Reads run folders, nothing else."""

import dataclasses
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.compare.protocol import FOLDED, Protocol, fold, fraction, protocol, seeds, unfolded
from trainer.config.run_config import read_plain
from trainer.config.schema_key import dotted
from trainer.config.target import FILLED_IN
from trainer.disk import history, layout, summary, sweep_plan
from trainer.disk.history import History
from trainer.disk.reading import Damaged
from trainer.disk.summary import UNREADABLE
from trainer.disk.sweep_plan import Job
from trainer.errors import TrainerError
from trainer.stopping import MODES

IDENTITY = ("name", "tags", "notes")
UNKNOWN = Protocol()  # what an unreadable config was measured on
NOT_COMPARED = ("output_dir", "report", "sweep", "metrics", *IDENTITY)  # keys that do not change what is trained


@dataclass(frozen=True)
class Row:
    """One run. settings: the keys in which the runs differ, as text. metrics: at its best step, or else its last.
    curve: the validation loss of each evaluation, or else the training loss. seeds: what runs that repeat one setting
    may vary. num_val, num_train: rows of these splits; None where the run did not record them. A damaged run has the
    status unreadable; its error says why, and its protocol is UNKNOWN if its config cannot be read. modes: the better
    direction of each metric, as the run recorded it. test: metrics of the test split, which rank nothing. fold:
    its repeat and its number, of a run on one of several folds. fraction: the share of the training rows it used."""

    name: str
    settings: dict[str, str]
    status: str
    monitor: str
    metrics: dict[str, float]
    seconds: float
    steps: int
    curve: list[float]
    error: str | None
    protocol: Protocol = UNKNOWN
    seeds: tuple[str, ...] = ()
    num_val: int | None = None
    modes: Mapping[str, str] = field(default_factory=dict)
    test: Mapping[str, float] = field(default_factory=dict)
    num_train: int | None = None
    fold: tuple[int, int] | None = None
    fraction: float = 1.0

    @property
    def ok(self) -> bool:
        """Whether the run ended well."""
        return self.status == "ok"

    @property
    def cut(self) -> tuple[object, ...]:
        """The split that this run's validation rows belong to: the same for the folds of one cut."""
        return self.seeds[1:] if self.fold is None else (*self.seeds[1:2], self.fold[0])

    @property
    def unreadable(self) -> bool:
        """Whether its folder is damaged."""
        return self.status == UNREADABLE

    @property
    def failed(self) -> bool:
        """Whether the run failed or diverged."""
        return self.status in ("failed", "diverged")

    def value(self, metric: str) -> float | None:
        """A metric of a run that ended well; None where it is missing or not finite."""
        value = self.metrics.get(metric, math.nan)
        return value if self.ok and math.isfinite(value) else None


def read_row(folder: Path, config: Mapping[str, Any], settings: dict[str, str], past: History | None = None) -> Row:
    """The row of a run folder, which may still be empty. config: the run's, as plain data. past: its history, if it
    has already been read."""
    try:
        found = summary.read(folder)
        evaluations = (past or history.read(folder)).evaluations
    except (Damaged, TrainerError) as error:
        return dataclasses.replace(unreadable(folder, error, settings), protocol=protocol(config), seeds=seeds(config))
    return Row(
        str(layout.relative(folder)),
        settings,
        found.status or "waiting",
        found.monitor,
        {name: value for name, value in (found.best or found.last).items() if "/" in name},
        sum(found.seconds.values()),
        found.steps or 0,
        [evaluation.get("val/loss", evaluation.get("train/loss", math.nan)) for evaluation in evaluations],
        found.error or None,
        protocol(config, found.data, found.loss),
        seeds(config),
        found.num_val,
        found.modes,
        found.test,
        found.num_train,
        fold(config),
        fraction(config),
    )


def unreadable(folder: Path, error: Exception, settings: dict[str, str]) -> Row:
    """The row of a damaged run folder."""
    return Row(str(layout.relative(folder)), settings, UNREADABLE, "", {}, 0.0, 0, [], str(error))


def varied(typed: Sequence[Sequence[str]]) -> list[dict[str, str]]:
    """The overrides that are not the same for all jobs: {key: value} of each job, in the order typed."""
    pairs = [dict(override.partition("=")[::2] for override in overrides) for overrides in typed]
    differing = [key for key in all_keys(pairs) if len({job.get(key) for job in pairs}) > 1]
    return [{key: job[key] for key in differing if key in job} for job in pairs]


def all_keys(settings: Iterable[Mapping[str, str]]) -> list[str]:
    """The keys that occur, in the order of those settings that have most."""
    return list(dict.fromkeys(key for own in sorted(settings, key=len, reverse=True) for key in own))


def differences(configs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The keys that are not the same in all configs: {key: value} of each config, in the order of the schema. Where the
    options of a group differ, the group is named; a key that only some options have is compared among those. Sizes that
    follow from the data are not compared where the data, or which rows are held back, differ."""
    texts = [dict(flat(config)) for config in configs]
    keys = dict.fromkeys(key for config in texts for key in config)
    differing = [key for key in keys if len({config[key] for config in texts if key in config}) > 1]
    if any(key.partition(".")[0] == "dataset" for key in differing):
        differing = [key for key in differing if key.rpartition(".")[2] not in FILLED_IN]
    ends: dict[str, set[str]] = defaultdict(set)
    for value in (value for config in texts for value in config.values() if isinstance(value, ClassName)):
        ends[value.rpartition(".")[2]].add(value)

    def shown(value: str) -> str:
        end = value.rpartition(".")[2]
        return end if isinstance(value, ClassName) and len(ends[end]) == 1 else str(value)

    return [{key: shown(config[key]) for key in differing if key in config} for config in texts]


def flat(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (dotted key, text) of a config's values, and of a node with a `_target_` its class."""
    for key, value in dotted(config):
        if key.partition(".")[0] in NOT_COMPARED or key.endswith("._target_"):
            continue
        if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            for number, item in enumerate(value):  # optimizer.groups
                yield from flat({f"{key}.{number}": item})
        elif not isinstance(value, Mapping):
            yield key, value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        elif "_target_" in value:
            yield key, ClassName(value["_target_"])


class ClassName(str):
    """The dotted name of a class, which is shown by its last part unless two classes share it."""


def of_runs(folders: Sequence[Path]) -> list[Row]:
    """Rows of any runs, with the keys in which their configs differ; the unreadable ones come last."""
    configs, damaged = {}, []
    for folder in folders:
        try:
            configs[folder] = read_plain(folder)
        except TrainerError as error:
            damaged.append(unreadable(folder, error, {}))
    return [*map(read_row, configs, configs.values(), differences(list(configs.values()))), *damaged]


def of_jobs(sweep: Path, jobs: Sequence[Job]) -> list[Row]:
    """Rows of a sweep's jobs, with the overrides in which they differ."""
    return [read_row(job.folder(sweep), job.data, own) for job, own in zip(jobs, settings(jobs), strict=True)]


def settings(jobs: Sequence[Job]) -> list[dict[str, str]]:
    """The overrides in which the jobs of a sweep differ. Jobs that differ in their seeds only get the other keys in
    which their configs differ as well: those whose values follow from the seed."""
    found, alike = varied([job.overrides for job in jobs]), defaultdict(list)
    for index, own in enumerate(found):
        alike[unfolded(own)].append(index)
    for members in alike.values():
        for index, own in zip(members, differences([jobs[index].data for index in members]), strict=True):
            found[index] |= {key: value for key, value in own.items() if key not in {*FOLDED, *found[index]}}
    return found


def of_sweep(sweep: Path) -> list[Row]:
    """Rows of all planned jobs of a sweep."""
    return of_jobs(sweep, sweep_plan.read_plan(sweep).jobs)


def monitored(rows: Sequence[Row]) -> str:
    """The metric that most runs monitored; '' where no run names one."""
    counts = Counter(row.monitor for row in rows if row.monitor)
    return counts.most_common(1)[0][0] if counts else ""


def mode(metric: str, rows: Iterable[Row]) -> str:
    """max where a larger value is better, else min: as the first of these runs that recorded it says; runs of version
    0.1.0 recorded none."""
    known = (row.modes[metric] for row in rows if metric in row.modes)
    return next(known, MODES.get(metric.rpartition("/")[2], "min"))
