"""A sweep's folder as the only memory of a sweep."""

from pathlib import Path

import pytest

from trainer.cli import main
from trainer.disk import sweep_plan
from trainer.disk.sweep_plan import Job, Plan
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
    assert sweep_plan.read_plan(tmp_path) == Plan(["seed=0,1"], make_jobs())


def test_a_plan_that_was_edited_is_refused(tmp_path: Path) -> None:
    sweep_plan.write_plan(tmp_path, ["seed=0,1"], make_jobs(), {})
    path = tmp_path / "sweep.json"
    path.write_text(path.read_text().replace('"seed": 1', '"seed": 3'))
    with pytest.raises(ConfigError, match="job 1 is not the one that was planned"):
        sweep_plan.read_plan(tmp_path)


def test_a_strangers_sweep_imports_nothing_without_trust(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hostile = [Job(job.number, job.overrides, {**job.data, "model": {"_target_": "os.system"}}) for job in make_jobs()]
    sweep_plan.write_plan(tmp_path, ["seed=0,1"], hostile, {})
    assert sweep_plan.read_plan(tmp_path).signed
    (tmp_path / "config.sig").unlink()
    assert not sweep_plan.read_plan(tmp_path).signed
    assert main(["resume", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "os.system" in error
    assert "--trust" in error
