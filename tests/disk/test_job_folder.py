"""The folder of a job: whose it is, what its files say of it, and what another attempt finds."""

import json
from pathlib import Path

import pytest

from trainer.disk import job_folder
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError, StorageError

pytestmark = pytest.mark.no_torch

FIRST, SECOND = Job(0, ["seed=0"], {"seed": 0}), Job(1, ["seed=1"], {"seed": 1})


def claim(sweep: Path, job: Job = FIRST) -> Path:
    with job_folder.claimed(sweep, job) as folder:
        return folder


def test_a_folder_of_another_job_is_refused(tmp_path: Path) -> None:
    assert claim(tmp_path) == claim(tmp_path) == tmp_path / "000"
    (tmp_path / "000").rename(tmp_path / "001")
    with pytest.raises(ConfigError, match="another config"):
        claim(tmp_path, SECOND)
    (tmp_path / "001/job.json").write_text('{"identity": ')
    with pytest.raises(StorageError, match=r"job\.json cannot be read"):
        claim(tmp_path, SECOND)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        *((json.dumps({"status": status}), status) for status in ("failed", "diverged", "pruned")),
        *(
            (json.dumps({"status": status}), "interrupted")
            for status in ("running", "stopped", "interrupted", "odd", 3, "ok")  # ok: it has no model
        ),
        *((text, "interrupted") for text in ('{"status": "o', "", "[]", "{}")),
    ],
)
def test_the_status_of_a_job_is_what_its_summary_says_if_it_can_be_read(
    written: str, expected: str, tmp_path: Path
) -> None:
    assert job_folder.status(tmp_path / "000") == "waiting"
    folder = claim(tmp_path)
    assert job_folder.status(folder) == "waiting"
    (folder / "summary.json").write_text(written)
    assert job_folder.status(folder) == expected


def test_a_job_whose_summary_is_gone_is_not_new(tmp_path: Path) -> None:
    folder = claim(tmp_path)
    (folder / "checkpoints").mkdir()
    assert (job_folder.status(folder), job_folder.lost_summary(folder)) == ("interrupted", True)


def test_a_failed_job_makes_room_but_keeps_its_log_and_sets_its_checkpoints_aside(tmp_path: Path) -> None:
    folder = claim(tmp_path)
    job_folder.record(folder, "failed", "it broke")
    (folder / "train.log").write_text("lines")
    (folder / "metrics.jsonl").write_text("{}")
    (folder / "checkpoints/step-00000007").mkdir(parents=True)
    left = {".lock", "job.json", "train.log", "checkpoints.earlier"}
    job_folder.clear(folder)
    assert {path.name for path in folder.iterdir()} == left
    (folder / "checkpoints").mkdir()  # the next attempt fails as well, before it has saved anything
    (folder / "summary.json").write_text("{}")
    job_folder.clear(folder)
    assert {path.name for path in folder.iterdir()} == left
    assert [path.name for path in (folder / "checkpoints.earlier").iterdir()] == ["step-00000007"]
