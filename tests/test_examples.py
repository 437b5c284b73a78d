"""The example jobs reach the numbers that their configs state. `python examples/check.py` tries more seeds, and their
plain loops."""

import runpy
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
def test_a_job_reaches_its_number(job: str, tmp_path: Path) -> None:
    check = runpy.run_path(str(EXAMPLES / "check.py"))["check"]
    assert check(job, range(1), tmp_path, quick=True)
