"""How a job ended, by the exit code of its process, and what is recorded where that process could not say it."""

from contextlib import suppress
from pathlib import Path

from trainer.disk import job_folder, layout
from trainer.disk.sweep_plan import Job
from trainer.errors import StorageError, TrainerError
from trainer.processes import signals

BUSY = 75  # another process holds the job's folder, which is left alone (EX_TEMPFAIL in sysexits.h)


def record(sweep: Path, job: Job, code: int) -> None:
    """Record the end of a job. One that was killed, or that met a full disk, continues from its checkpoint; one that
    ended itself has failed."""
    if code in (0, BUSY) or not job.folder(sweep).exists():  # it was moved or removed, and is not made again
        return
    with suppress(TrainerError), job_folder.claimed(sweep, job) as folder:  # not where another process has taken it
        recorded = layout.read_summary(folder).get("status")
        if signals.is_kill(code) or (code == StorageError.exit_code and recorded != "interrupted"):
            job_folder.record(folder, "interrupted", signals.exit_reason(code))
        elif code < 0 or (code not in signals.INTERRUPTED and recorded not in (*job_folder.ENDED, "interrupted")):
            job_folder.record(folder, "failed", signals.exit_reason(code))
