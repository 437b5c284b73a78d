"""What squeue's answers mean, from a program of that name; tests/sweep/test_slurm.py asks a real one."""

from pathlib import Path

import pytest

from trainer.sweep.slurm_commands import GONE, NoAnswer, is_number, states

pytestmark = pytest.mark.no_torch


@pytest.fixture
def squeue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "squeue").touch(mode=0o700)
    return tmp_path / "squeue"


def test_a_job_that_slurm_has_forgotten_is_told_from_a_controller_that_does_not_answer(squeue: Path) -> None:
    squeue.write_text("#!/bin/sh\necho '12_0 RUNNING'; echo '12_1 COMPLETED'; echo '12_3 PENDING'\n")
    assert states(["12_0", "12_1", "12_2"]) == {"12_0": "RUNNING", "12_1": "COMPLETED", "12_2": GONE}
    squeue.write_text("#!/bin/sh\necho 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1\n")
    assert states(["7"]) == {"7": GONE}
    squeue.write_text("#!/bin/sh\necho 'slurm_load_jobs error: Unable to contact slurm controller' >&2; exit 1\n")
    with pytest.raises(NoAnswer, match="Unable to contact"):
        states(["7"])


def test_only_the_number_of_a_job_is_one() -> None:
    assert [text for text in ("7", "12_0", "12_", "--me", "7 8", 7) if is_number(text)] == ["7", "12_0"]
