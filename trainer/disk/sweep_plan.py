"""A sweep on disk: sweep.json holds the plan, each job's folder what became of it. No torch, no Hydra."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trainer.disk import layout, reading, signature, storage
from trainer.errors import ConfigError, StorageError

FORMAT = 1
IDENTITY = "job.json"
MOST = 256 * 2**20  # bytes that a plan can have
APART = ("sweep", "output_dir", "report")  # keys of a config that do not change what a job computes


@dataclass(frozen=True)
class Job:
    """One job: what was typed for it, and its resolved config as plain data."""

    number: int
    overrides: list[str]
    data: dict[str, Any]

    @cached_property
    def identity(self) -> str:
        """Hash of the resolved config, without the keys that only say how and where."""
        part = {name: value for name, value in self.data.items() if name not in APART}
        text = json.dumps(part, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def folder(self, sweep: Path) -> Path:
        """Its run folder."""
        return sweep / layout.job_name(self.number)


def write_plan(folder: Path, typed: Sequence[str], jobs: Sequence[Job], results: Mapping[str, Any]) -> None:
    """Write SWEEP/sweep.json: of each job's config, the top-level keys in which it differs from the first one's."""
    base = jobs[0].data
    plan = [
        {
            "number": job.number,
            "identity": job.identity,
            "overrides": job.overrides,
            "changes": {name: value for name, value in job.data.items() if base.get(name) != value},
        }
        for job in jobs
    ]
    content = {"format": FORMAT, "typed": list(typed), "base": base, "jobs": plan, **results}
    data = (json.dumps(content, indent=2, allow_nan=False) + "\n").encode()
    signature.sign(folder, data)
    storage.write_file(folder / layout.SWEEP, data)


def read_plan(folder: Path) -> tuple[list[str], list[Job]]:
    """What was typed, and the jobs. Raises StorageError for a file that cannot be read, ConfigError for one whose
    jobs are not those that were planned."""
    path = folder / layout.SWEEP
    try:
        content = reading.read_json(path, MOST)
        if content["format"] != FORMAT:
            raise ConfigError(f"{path} has format {content['format']}, this trainer reads {FORMAT}")
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
    """Whether this user signed sweep.json as it is."""
    return signature.is_signed(folder, reading.read_file(folder / layout.SWEEP, MOST))


def claim(sweep: Path, job: Job) -> Path:
    """Make a job's folder with its identity in it, or find it. Raises ConfigError where another job lies there."""
    folder = job.folder(sweep)
    path = folder / IDENTITY
    if not folder.exists():
        layout.create_job(sweep, job.number)
    if path.exists():
        check_identity(sweep, job)
    else:
        storage.write_json(path, {"identity": job.identity, "overrides": job.overrides})
    return folder


def check_identity(sweep: Path, job: Job) -> None:
    """Raise ConfigError where a job's folder holds another job. Nothing there yet is fine."""
    path = job.folder(sweep) / IDENTITY
    try:
        found = reading.read_json(path)["identity"]
    except FileNotFoundError:
        return
    except (reading.Damaged, KeyError, TypeError) as error:
        raise StorageError(f"{path} cannot be read: {error!r}") from error
    if found != job.identity:
        text = f"{layout.relative(path.parent)} is a job of another config than {layout.SWEEP} says"
        raise ConfigError(text, f"move it away, then trainer resume {layout.relative(sweep)}")


def status(sweep: Path, job: Job) -> str:
    """waiting (nothing there), ok, failed, diverged, or interrupted (to go on from its checkpoint)."""
    found = layout.read_summary(job.folder(sweep)).get("status", "waiting")
    return "interrupted" if found in ("running", "stopped") else str(found)


def record_failure(folder: Path, error: str, status: str = "failed") -> None:
    """Say in a job's summary.json that it is over, where its own process could not."""
    summary = layout.read_summary(folder) | {"status": status, "error": error}
    storage.write_json(folder / layout.SUMMARY, summary)


def clear(folder: Path) -> None:
    """Make room for a failed job's new attempt: all but its identity and its log go."""
    for path in folder.iterdir():
        if path.name == layout.CHECKPOINTS:
            storage.remove_folder(path)
        elif path.name not in (IDENTITY, layout.LOG) and path.is_file():
            path.unlink()
