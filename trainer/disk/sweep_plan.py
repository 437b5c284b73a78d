"""A sweep's plan on disk: sweep.json holds its jobs as plain data, and what a search proposes others from.

Nothing of it is composed again. Imports neither torch nor Hydra.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from trainer.disk import layout, reading, signature, storage
from trainer.errors import ConfigError, StorageError

FORMAT = 1
IRRELEVANT = ("sweep", "output_dir", "report")  # keys of a config that do not change what a job computes


@dataclass(frozen=True)
class Job:
    """One job: its overrides as typed, and its resolved config as plain data. trial: what a search has proposed, as
    {key: value as typed}; empty in a grid."""

    number: int
    overrides: list[str]
    data: dict[str, Any]
    trial: dict[str, str] = field(default_factory=dict)

    @cached_property
    def identity(self) -> str:
        """A hash of the resolved config, without the keys that only say how and where it runs."""
        relevant = {name: value for name, value in self.data.items() if name not in IRRELEVANT}
        text = json.dumps(relevant, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def folder(self, sweep: Path) -> Path:
        """Its run folder: SWEEP/000, SWEEP/001, …"""
        return sweep / f"{self.number:03d}"


@dataclass(frozen=True)
class Plan:
    """A stored sweep. typed: the words that started it, for people. search, launcher: how other jobs are proposed, and
    where the jobs run, as plain data; None for a grid, and for this machine. submitted: the numbers that jobs have in a
    cluster, {"0": "12_0"}. signed: whether this user signed it; changed: whether this user did, and it was edited or
    damaged since."""

    typed: list[str]
    jobs: list[Job]
    search: dict[str, Any] | None = None
    launcher: dict[str, Any] | None = None
    submitted: dict[str, Any] = field(default_factory=dict)
    signed: bool = True
    changed: bool = False


def write_plan(
    folder: Path, typed: Sequence[str], jobs: Sequence[Job], rest: Mapping[str, Any], *, sign: bool = True
) -> None:
    """Write SWEEP/sweep.json: the first job's config, and the top-level keys in which each job's config differs.

    rest: further entries, such as search, launcher, submitted and ranking. sign: false in a folder that this user
    has not signed.
    """
    base = jobs[0].data
    plan = []
    for job in jobs:
        changes = {name: value for name, value in job.data.items() if base.get(name) != value}
        entry = {"number": job.number, "identity": job.identity, "overrides": job.overrides, "changes": changes}
        plan.append(entry | ({"trial": job.trial} if job.trial else {}))
    content = {"format": FORMAT, "typed": list(typed), "base": base, "jobs": plan, **rest}
    data = (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
    if sign:
        signature.sign(folder, layout.SWEEP, data)
    storage.write_file(folder / layout.SWEEP, data)


def read_plan(folder: Path) -> Plan:
    """The plan of a sweep. Raises StorageError if it cannot be read, ConfigError for other jobs than were planned."""
    path = folder / layout.SWEEP
    try:
        data = reading.read_file(path, signature.MOST)
        content = reading.parse_json(data, path)
        if content["format"] != FORMAT:
            raise ConfigError(f"{path} has format {content['format']}; this trainer reads format {FORMAT}")
        signed, changed = signature.is_signed(folder, data), signature.is_changed(folder, data)
        typed = reading.items(content["typed"], str)
        jobs = [_job(entry, content["base"], path, typed if signed else []) for entry in content["jobs"]]
        if not jobs or len({job.number for job in jobs}) < len(jobs):
            raise ValueError("no jobs, or two with the same number")
        search, launcher = (
            None if content.get(name) is None else dict(content[name]) for name in ("search", "launcher")
        )
        return Plan(typed, jobs, search, launcher, dict(content.get("submitted") or {}), signed, changed)
    except (FileNotFoundError, reading.Damaged) as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{path} cannot be read: {error!r}") from error


def _job(entry: Mapping[str, Any], base: Mapping[str, Any], path: Path, typed: Sequence[str]) -> Job:
    """The job of an entry. typed: the words that started the sweep, if this user signed them. Raises ValueError,
    KeyError or TypeError for a malformed one."""
    if reading.count(entry["number"]) is None or reading.items(entry["overrides"], str) != entry["overrides"]:
        raise ValueError("a job without a number or overrides")
    trial = dict(entry.get("trial") or {})
    if not all(isinstance(text, str) for text in [*trial, *trial.values()]):
        raise ValueError("a trial that is not text")
    job = Job(entry["number"], entry["overrides"], dict(base) | entry["changes"], trial)
    if job.identity != entry["identity"]:
        text = f"{path}: the config of job {job.number} is not the one that was planned"
        raise ConfigError(text, shlex.join(["trainer", "train", "-m", *typed]) if typed else None)
    return job
