"""The example jobs reach the numbers that their configs state. `python examples/check.py` tries more seeds, their
plain loops, and more verbs."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
JOBS = sorted(file.parent.name for file in EXAMPLES.glob("*/job.py"))


def test_there_are_twenty_jobs_and_each_is_complete() -> None:
    assert len(JOBS) == 20
    for job in JOBS:
        assert (EXAMPLES / job / "plain.py").is_file()
        assert (EXAMPLES / job / "conf" / "experiment" / f"{job}.yaml").is_file()
        for file in ("job.py", "plain.py"):
            assert "trainer import" not in (EXAMPLES / job / file).read_text()
            assert "import trainer" not in (EXAMPLES / job / file).read_text()


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_a_job_reaches_its_number(job: str) -> None:
    checked(job, "trainer", "report", "plan", "doctor")


def checked(job: str, *checks: str, settings: Sequence[str] = ("report=false",), code: int = 0) -> str:
    """What check.py writes about one seed of a job."""
    command = [sys.executable, EXAMPLES / "check.py", job, "--seeds", "1", "--checks", *checks, "--set", *settings]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout
