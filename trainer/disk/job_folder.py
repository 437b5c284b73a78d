"""The folder of a sweep's job: who works in it, the status of the job, and room for another attempt."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from trainer.disk import digest, layout, lock, reading, storage
from trainer.disk.folder import names
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError, StorageError

IDENTITY = "job.json"
ENDED = ("ok", "pruned", "failed", "diverged")
DONE = ("ok", "pruned")  # a resume leaves these alone
RUN = (layout.CONFIG, layout.METRICS, layout.RESULTS, layout.CHECKPOINTS)  # a folder with one of these holds a run


@contextmanager
def claimed(sweep: Path, job: Job) -> Iterator[Path]:
    """Make or find a job's folder and hold it, with the job's identity in it. Raises InUse if another process holds it,
    ConfigError if it holds another job, StorageError if that cannot be told."""
    folder = job.folder(sweep)
    with suppress(FileExistsError):
        storage.make_folder(folder)
    with lock.only_writer(folder):
        if (folder / IDENTITY).exists():
            check_identity(sweep, job)
        else:
            storage.write_json(folder / IDENTITY, {"identity": job.identity, "overrides": job.overrides})
        yield folder


def check_identity(sweep: Path, job: Job) -> None:
    """Raise ConfigError if a job's folder exists and holds another job, StorageError if its identity is damaged."""
    path = job.folder(sweep) / IDENTITY
    try:
        identity = reading.read_json(path)["identity"]
    except FileNotFoundError:
        return
    except (reading.Damaged, KeyError, TypeError) as error:
        raise StorageError(
            f"{path} cannot be read: {error}", f"rm {shlex.quote(str(path))}, if the folder is that of this job"
        ) from error
    if identity != job.identity:
        text = f"{layout.relative(path.parent)} holds a job with another config than {layout.SWEEP} says"
        raise ConfigError(text, f"move it away, then trainer resume {layout.relative(sweep)}")


def status(folder: Path) -> str:
    """waiting (not started), ok, pruned, failed, diverged, or interrupted: it continues from its checkpoint. That is
    also the status of a job without a readable summary: whether it is finished, its checkpoint says. And that of a
    finished one whose model is missing or damaged: a resume writes it again."""
    recorded = layout.read_summary(folder).get("status")
    if recorded in ENDED and (recorded != "ok" or digest.is_whole(folder / layout.MODEL)):
        return str(recorded)
    return "interrupted" if holds_run(folder) or (folder / layout.SUMMARY).exists() else "waiting"


def holds_run(folder: Path) -> bool:
    """Whether a folder holds a run, or a part of one; a new run does not begin there."""
    return any((folder / name).exists() for name in RUN)


def lost_summary(folder: Path) -> bool:
    """Whether a run that has a checkpoint has no readable summary.json, which every run writes before it trains."""
    return "status" not in layout.read_summary(folder) and (folder / layout.CHECKPOINTS).is_dir()


def record(folder: Path, status: str, error: str) -> None:
    """Record in a job's summary.json how it ended, where its own process could not. Raises InUse."""
    with lock.only_writer(folder):
        storage.write_json(folder / layout.SUMMARY, layout.read_summary(folder) | {"status": status, "error": error})


def clear(folder: Path) -> None:
    """Make room for another attempt at a failed job: remove all but its identity and log, its summary last.

    Its checkpoints are set aside in one step, so that the new attempt never takes them for its own. They are removed
    when that has a checkpoint (see checkpoint.save): until then nothing is lost.
    """
    checkpoints, earlier = folder / layout.CHECKPOINTS, folder / layout.EARLIER
    if any(name.startswith("step-") for name in names(checkpoints)):
        if earlier.is_dir():
            storage.remove_folder(earlier)
        storage.rename(checkpoints, earlier)
    elif checkpoints.is_dir():
        storage.remove_folder(checkpoints)
    kept = (IDENTITY, layout.LOG, lock.LOCK, layout.SUMMARY)
    for name in names(folder):
        if name not in kept and (folder / name).is_file():
            storage.remove(folder / name)
    storage.remove(folder / layout.SUMMARY)
