"""Sweeps on a real Ray cluster of two nodes on this machine, one of which is killed."""

import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Cli
from live_run import start
from slow_jobs import JOB, SLOW, bits, ended, sweep_of, until, until_training

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

ON_RAY = ["hydra/launcher=ray"]
SIXTEEN = ["optimizer.lr=1e-3,3e-3", "seed=0,1,2,3,4,5,6,7", "max_steps=300"]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Ray cluster of two nodes, for two jobs each. Its sockets want a short path."""
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 without this: other tests then leave the jobs no processor
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        monkeypatch.setenv("RAY_TMPDIR", folder)
        node = {"num_cpus": 2, "object_store_memory": 80 * 1024**2, "include_dashboard": False}
        found = Cluster(initialize_head=True, head_node_args=node)
        try:
            monkeypatch.setenv("RAY_ADDRESS", found.address)
            found.other = found.add_node(**node)
            yield found
        finally:
            found.shutdown()


def started_again(sweep: Path) -> list[str]:
    """The jobs that were continued, or begun twice."""
    logs = {path.parent.name: path.read_text() for path in sweep.glob("*/train.log")}
    return sorted(name for name, text in logs.items() if len(re.findall(r"^(model|resume) ", text, re.M)) > 1)


def num_training(sweep: Path) -> int:
    return sum(not (path.parent / "model.safetensors").exists() for path in sweep.glob("*/metrics.jsonl"))


def test_the_jobs_of_a_lost_node_continue_on_another_with_the_same_bits(cluster: Any, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(SLOW)
    sweep = start(tmp_path, "train", "-m", *JOB, *ON_RAY, *SIXTEEN, stdout=subprocess.PIPE)
    folder = sweep_of(tmp_path)
    until(lambda: len(list(folder.glob("*/model.safetensors"))) >= 6)
    (tmp_path / "slow").touch()  # each job takes 30 s from now on
    until(lambda: num_training(folder) == 4)  # two on each machine
    cluster.remove_node(cluster.other, allow_graceful=False)
    (tmp_path / "slow").unlink()
    code, out, err = ended(sweep)
    assert (code, err) == (0, "")
    assert len(re.findall(r"^\[ ?\d+/16\] ", out, re.M)) == 16
    assert "ray      16 jobs submitted to 2 machines" in out
    assert "ray      lost a machine, 1 left" in out
    assert started_again(folder)
    assert cli("train", "-m", *JOB, *SIXTEEN, "output_dir=here").returncode == 0
    here = {path.name: bits(path) for path in tmp_path.glob("here/sweeps/*/*/0*")}
    assert here == {path.name: bits(path) for path in folder.glob("0*")}
    assert len(here) == 16


def test_ctrl_c_saves_the_running_jobs_and_resume_submits_the_others(cluster: Any, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(SLOW)
    (tmp_path / "slow").touch()
    sweep = start(tmp_path, "train", "-m", *JOB, *ON_RAY, "seed=0,1,2,3,4,5", "max_steps=40", stdout=subprocess.PIPE)
    until_training(tmp_path, 0, 1)
    sweep.send_signal(signal.SIGINT)
    code, out, err = ended(sweep)
    assert code == 130
    assert "the sweep was stopped by SIGINT; the running jobs were saved" in out + err
    folder = sweep_of(tmp_path)
    stopped = [path for path in folder.glob("0*/summary.json") if '"stopped"' in path.read_text()]
    assert stopped
    (tmp_path / "slow").unlink()
    again = cli("resume", str(folder))
    assert (again.returncode, again.stderr) == (0, "")
    assert "jobs submitted to 2 machines" in again.stdout
    assert cli("train", "-m", *JOB, "seed=0,1,2,3,4,5", "max_steps=40", "output_dir=here").returncode == 0
    for path in tmp_path.glob("here/sweeps/*/*/0*"):
        assert bits(path) == bits(folder / path.name)


START = "ray start --head, or hydra.launcher.address=HOST:6379"


@pytest.mark.parametrize(
    ("word", "said", "hint"),
    [
        ("+hydra.launcher.resources.big=1", "no Ray cluster runs here", START),
        ("hydra.launcher.address=127.0.0.1:1", "no Ray cluster answers at 127.0.0.1:1", START),
        (
            "hydra.launcher.num_gpus=1.5",
            "num_gpus=1.5 is not whole GPUs",
            "hydra.launcher.num_gpus=1",
        ),
        ("hydra.launcher.num_cpus=-1", "num_cpus=-1 is not an amount", "hydra.launcher.num_cpus=1"),
    ],
)
def test_what_cannot_be_submitted_is_an_error_before_a_folder_is_made(
    word: str, said: str, hint: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    done = cli("train", "-m", *ON_RAY, word, "seed=0,1")
    error, tried = done.stderr.splitlines()
    assert (done.returncode, tried) == (2, f"  try: {hint}")
    assert said in error
    assert not (tmp_path / "outputs").exists()
