"""A sweep's folder as the only memory of a sweep."""

import json
from pathlib import Path

import pytest

from trainer.cli import main
from trainer.disk import sweep_plan
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError

pytestmark = pytest.mark.no_torch

DATA = {"seed": 0, "optimizer": {"lr": 0.1}, "sweep": {"jobs": "auto"}}


def make_jobs() -> list[Job]:
    return [
        Job(0, ["seed=0"], DATA),
        Job(1, ["seed=1"], DATA | {"seed": 1}),
        Job(2, ["optimizer=sgd"], DATA | {"optimizer": {"lr": 1e-4, "momentum": 0.9}}),
    ]


def test_a_plan_comes_back_as_it_was(tmp_path: Path) -> None:
    sweep_plan.write_plan(tmp_path, ["seed=0,1"], make_jobs(), {"ranking": {}})
    assert sweep_plan.read_plan(tmp_path) == (["seed=0,1"], make_jobs())


def test_a_plan_that_was_edited_is_refused(tmp_path: Path) -> None:
    sweep_plan.write_plan(tmp_path, ["seed=0,1"], make_jobs(), {})
    path = tmp_path / "sweep.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 3'))
    with pytest.raises(ConfigError, match="job 1 is not the one that was planned"):
        sweep_plan.read_plan(tmp_path)


def test_a_folder_of_another_job_is_refused(tmp_path: Path) -> None:
    first, second, _ = make_jobs()
    sweep_plan.claim(tmp_path, first)
    assert sweep_plan.claim(tmp_path, first) == tmp_path / "000"
    (tmp_path / "000").rename(tmp_path / "001")
    with pytest.raises(ConfigError, match="another config"):
        sweep_plan.check_identity(tmp_path, second)


@pytest.mark.parametrize("written", ["ok", "failed", "diverged", "running", "stopped"])
def test_the_status_of_a_job(written: str, tmp_path: Path) -> None:
    expected = "interrupted" if written in ("running", "stopped") else written
    job = make_jobs()[0]
    assert sweep_plan.status(tmp_path, job) == "waiting"
    folder = sweep_plan.claim(tmp_path, job)
    assert sweep_plan.status(tmp_path, job) == "waiting"
    (folder / "summary.json").write_text(json.dumps({"status": written}))
    assert sweep_plan.status(tmp_path, job) == expected


def test_a_failed_job_makes_room_but_keeps_its_log(tmp_path: Path) -> None:
    folder = sweep_plan.claim(tmp_path, make_jobs()[0])
    sweep_plan.record_failure(folder, "it broke")
    (folder / "train.log").write_text("lines")
    (folder / "metrics.jsonl").write_text("{}")
    (folder / "checkpoints").mkdir()
    sweep_plan.clear_job(folder)
    assert {path.name for path in folder.iterdir()} == {"job.json", "train.log"}


def test_a_strangers_sweep_imports_nothing_without_trust(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = [Job(job.number, job.overrides, {**job.data, "model": {"_target_": "os.system"}}) for job in make_jobs()]
    sweep_plan.write_plan(tmp_path, ["seed=0,1"], hostile, {})
    assert sweep_plan.is_own(tmp_path)
    (tmp_path / "config.sig").unlink()
    assert not sweep_plan.is_own(tmp_path)
    assert main(["resume", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "os.system" in error
    assert "--trust" in error
