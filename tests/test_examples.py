"""The example jobs reach the numbers that their configs state, and the verbs answer. `python examples/check.py` tries
more seeds, the plain loops, and more verbs."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import trials
from twenty import EXAMPLES, JOBS


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
def test_one_seed_of_a_job_is_as_expected(job: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes that start faster than those of check.py."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr("checks.example.execute", trials.program)
    check = importlib.import_module("check")
    example = importlib.import_module("checks.example").Example(job, tmp_path, [0])
    _, wrong = check.check(example, ["trainer", "plain", "predict", "report", "plan", "doctor"])
    assert not wrong


@pytest.mark.slow
@pytest.mark.parametrize(("job", "setting"), [("multi_label", "optimizer.lr=0.0003"), ("vae", "optimizer.lr=0.0003")])
def test_a_job_that_trains_badly_fails(job: str, setting: str) -> None:
    code, text = checked(job, "trainer", settings=(setting,))
    assert code == 1
    assert re.search(rf"{job}, trainer: val/\w+ is .*, and should be", text), text


def checked(job: str, *checks: str, settings: tuple[str, ...] = ()) -> tuple[int, str]:
    """(Exit code, what it writes) of check.py with one seed of a job."""
    more = ["--set", *settings] if settings else []
    command = [sys.executable, EXAMPLES / "check.py", job, "--seeds", "1", "--checks", *checks, *more]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr
