"""A sweep on disk: sweep.json holds the plan, each job's folder its result. Imports neither torch nor Hydra."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trainer.disk import layout, reading, signature, storage
from trainer.disk.folder import names
from trainer.errors import ConfigError, StorageError

FORMAT = 1
IDENTITY = "job.json"
MOST = 256 * 2**20  # bytes of a plan that are read
IRRELEVANT = ("sweep", "output_dir", "report")  # keys of a config that do not change what a job computes


@dataclass(frozen=True)
class Job:
    """One job: its overrides as typed, and its resolved config as plain data."""

    number: int
    overrides: list[str]
    data: dict[str, Any]

    @cached_property
    def identity(self) -> str:
        """A hash of the resolved config, without the keys that only say how and where it runs."""
        relevant = {name: value for name, value in self.data.items() if name not in IRRELEVANT}
        text = json.dumps(relevant, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def folder(self, sweep: Path) -> Path:
        """Its run folder: SWEEP/000, SWEEP/001, …"""
        return sweep / f"{self.number:03d}"


def write_plan(folder: Path, typed: Sequence[str], jobs: Sequence[Job], results: Mapping[str, Any]) -> None:
    """Write SWEEP/sweep.json: the first job's config, and the top-level keys in which each job's config differs."""
    base = jobs[0].data
    plan = []
    for job in jobs:
        changes = {name: value for name, value in job.data.items() if base.get(name) != value}
        plan.append({"number": job.number, "identity": job.identity, "overrides": job.overrides, "changes": changes})
    content = {"format": FORMAT, "typed": list(typed), "base": base, "jobs": plan, **results}
    data = (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
    signature.sign(folder, data)
    storage.write_file(folder / layout.SWEEP, data)


def read_plan(folder: Path) -> tuple[list[str], list[Job]]:
    """The typed overrides and the jobs. Raises StorageError if it cannot be read, ConfigError for other jobs."""
    path = folder / layout.SWEEP
    try:
        content = reading.read_json(path, MOST)
        if content["format"] != FORMAT:
            raise ConfigError(f"{path} has format {content['format']}; this trainer reads format {FORMAT}")
        jobs = []
        for entry in content["jobs"]:
            if reading.count(entry["number"]) is None or reading.items(entry["overrides"], str) != entry["overrides"]:
                raise ValueError("a job without a number or overrides")
            job = Job(entry["number"], entry["overrides"], content["base"] | entry["changes"])
            if job.identity != entry["identity"]:
                text = f"{path}: the config of job {job.number} is not the one that was planned"
                raise ConfigError(text, "trainer train -m " + " ".join(content["typed"]))
            jobs.append(job)
        return list(content["typed"]), jobs
    except (FileNotFoundError, reading.Damaged) as error:
        raise StorageError(f"cannot read {path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{path} cannot be read: {error!r}") from error


def is_own(folder: Path) -> bool:
    """Whether this user signed sweep.json in its present form."""
    return signature.is_signed(folder, reading.read_file(folder / layout.SWEEP, MOST))


def claim(sweep: Path, job: Job) -> Path:
    """Make or find a job's folder, with its identity in it. Raises ConfigError if it holds another job."""
    folder = job.folder(sweep)
    if not folder.exists():
        storage.make_folder(folder)
    if (folder / IDENTITY).exists():
        check_identity(sweep, job)
    else:
        storage.write_json(folder / IDENTITY, {"identity": job.identity, "overrides": job.overrides})
    return folder


def check_identity(sweep: Path, job: Job) -> None:
    """Raise ConfigError if a job's folder exists and holds another job."""
    path = job.folder(sweep) / IDENTITY
    try:
        identity = reading.read_json(path)["identity"]
    except FileNotFoundError:
        return
    except (reading.Damaged, KeyError, TypeError) as error:
        raise StorageError(f"{path} cannot be read: {error!r}") from error
    if identity != job.identity:
        text = f"{layout.relative(path.parent)} holds a job with another config than {layout.SWEEP} says"
        raise ConfigError(text, f"move it away, then trainer resume {layout.relative(sweep)}")


def status(sweep: Path, job: Job) -> str:
    """waiting (not started), ok, failed, diverged, or interrupted (continues from its checkpoint)."""
    recorded = layout.read_summary(job.folder(sweep)).get("status", "waiting")
    return "interrupted" if recorded in ("running", "stopped") else str(recorded)


def record_failure(folder: Path, error: str, status: str = "failed") -> None:
    """Record a failure in a job's summary.json, when its own process could not."""
    summary = layout.read_summary(folder) | {"status": status, "error": error}
    storage.write_json(folder / layout.SUMMARY, summary)


def clear_job(folder: Path) -> None:
    """Make room for another attempt at a failed job: remove all but its identity and its log."""
    for name in names(folder):
        if name == layout.CHECKPOINTS:
            storage.remove_folder(folder / name)
        elif name not in (IDENTITY, layout.LOG) and (folder / name).is_file():
            storage.remove(folder / name)
