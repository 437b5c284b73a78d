"""Slurm's commands. None needs its accounts (sacct), which many clusters do not keep."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress

from trainer.errors import TrainerError

GONE = "GONE"  # a job that Slurm has forgotten, minutes after its end
ENDINGS = {  # states of a job that Slurm does not start again, and what they say of one that left no result
    "BOOT_FAIL": "its node did not start",
    "CANCELLED": "it was cancelled in Slurm",
    "COMPLETED": "it ended without a result",
    "DEADLINE": "it reached its deadline in Slurm",
    "FAILED": "its process failed",
    GONE: "Slurm has forgotten it",
    "NODE_FAIL": "its node went down",
    "OUT_OF_MEMORY": "it took more memory than hydra.launcher.mem_gb",
    "PREEMPTED": "it made room for another job, and its partition does not put such jobs back into the queue",
    "TIMEOUT": "it reached its time limit, hydra.launcher.timeout_min",
}


class NoAnswer(TrainerError):
    """Slurm's controller does not answer, as while it is restarted."""


def is_here() -> bool:
    """Whether jobs can be submitted from this machine."""
    return shutil.which("sbatch") is not None and shutil.which("srun") is not None


def partitions() -> list[str]:
    """The partitions of the cluster, hidden ones included. Raises NoAnswer."""
    return list(dict.fromkeys(_run("sinfo", "--all", "--noheader", "--format=%R").split()))


def states(numbers: Iterable[str]) -> dict[str, str]:
    """{number: state} of this user's jobs in Slurm, such as 12, or 12_0 of an array; GONE for others. Raises
    NoAnswer."""
    wanted = list(numbers)
    arrays = ",".join(dict.fromkeys(number.partition("_")[0] for number in wanted))
    try:
        text = _run("squeue", "--me", "--noheader", "--array", "--states=all", f"--jobs={arrays}", "--format=%i %T")
    except NoAnswer as error:
        if "Invalid job id" not in error.message:
            raise
        text = ""
    known = dict(line.split(maxsplit=1) for line in text.splitlines())
    return {number: known.get(number, GONE) for number in wanted}


def cancel_waiting(numbers: Iterable[str]) -> None:
    """Take jobs that have not started out of the queue. What cannot be cancelled is left alone."""
    with suppress(NoAnswer):  # also said of a job that has ended
        _run("scancel", "--state=PENDING", *numbers)


def stop_running(numbers: Iterable[str]) -> None:
    """Ask running jobs to save and end. scancel without a signal would kill them after the cluster's KillWait."""
    with suppress(NoAnswer):
        _run("scancel", "--state=RUNNING", "--signal=TERM", *numbers)


def is_number(text: object) -> bool:
    """Whether a text is the number of one of Slurm's jobs."""
    return isinstance(text, str) and re.fullmatch(r"\d+(_\d+)?", text) is not None


def _run(*command: str) -> str:
    """What a command prints; in a session of its own, where Ctrl-C does not reach it. Raises NoAnswer."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)  # noqa: S603
    except OSError as error:
        raise NoAnswer(f"{command[0]}: {error.strerror}") from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"{command[0]}: exit code {done.returncode}"]
        raise NoAnswer(lines[0])
    return done.stdout
