"""The project that init writes, used as its README says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Cli, needs_torch

from trainer.cli import main

pytestmark = pytest.mark.no_torch

ROOT = Path(__file__).resolve().parents[2]


def test_it_writes_a_project_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", "mine"]) == 0
    root = tmp_path / "mine"
    schemas = {f"conf/.schema/{path.name}" for path in (root / "conf/.schema").iterdir()}
    assert {"conf/.schema/model.json", "conf/.schema/experiment.json"} <= schemas
    names = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()} - schemas
    files = {"my_net.py", "test_my_net.py", "README.md", ".gitignore"}
    assert names == files | {"conf/model/my_net.yaml", "conf/experiment/first.yaml"}
    (tmp_path / "mine/my_net.py").write_text("mine")
    capsys.readouterr()
    assert main(["init", "mine"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert (tmp_path / "mine/my_net.py").read_text() == "mine"
    assert main(["init"]) == 2
    (tmp_path / "file").touch()
    assert main(["init", "file/mine"]) == 4


@pytest.mark.slow
@needs_torch
def test_it_trains_at_once_and_passes_its_own_test(cli: Cli, tmp_path: Path) -> None:
    assert cli("init", "mine").returncode == 0
    done = cli("train", "experiment=first", cwd=tmp_path / "mine")
    assert (done.returncode, done.stderr) == (0, "")
    assert "expect   1 of 1 values are as expected" in done.stdout
    assert "my_net" in cli("ls", "model", cwd=tmp_path / "mine").stdout
    own = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path / "mine",
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert own.returncode == 0, own.stdout
    assert "2 passed" in own.stdout
