"""`trainer train` as a user runs it: real processes, real pipes, real signals."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import Cli
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, in_features, out_features, width=3):
        super().__init__()
        self.first, self.second = nn.Linear(in_features, width), nn.Linear(width, out_features)

    def forward(self, x):
        if self.training and not hasattr(self, "calls"):
            self.calls = 0
        if self.training:
            self.calls += 1
            if self.calls == 3 and self.first.out_features == 13:
                raise RuntimeError("thirteen is unlucky")
        return self.second(self.first(x.flatten(1)).relu())
"""


def test_a_run_leaves_what_the_contract_says(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", "epochs=2")
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    (folder,) = (tmp_path / "outputs").glob("20*/*")
    assert (tmp_path / "outputs/latest").resolve() == folder
    assert not set("=:") & set(folder.name)

    assert (folder / "train.log").read_text(encoding="utf-8") == done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 78
    assert (folder / "results.png").read_bytes().startswith(b"\x89PNG")
    names = {
        "config.yaml",
        "overrides.yaml",
        "summary.json",
        "metrics.jsonl",
        "results.csv",
        "train.log",
        "results.png",
        "report.html",
        "outcome.json",
        "model.safetensors",
        "preprocessing.json",
        "preprocessing.safetensors",
        "data.json",
        "data.safetensors",
        "val_rows.safetensors",
        "checkpoints",
        "config.sig",
        ".lock",
    }
    assert {path.name for path in folder.iterdir()} == names
    checkpoint = folder / "checkpoints/step-00000046"
    files = {"weights.safetensors", "optimizer.safetensors", "state.json", "manifest.json"}
    assert {path.name for path in checkpoint.iterdir()} == files

    assert yaml.safe_load((folder / "overrides.yaml").read_text()) == ["epochs=2"]
    config = yaml.safe_load((folder / "config.yaml").read_text())
    assert config["model"]["in_features"] == 64
    assert config["loss"]["_target_"] == "torch.nn.CrossEntropyLoss"
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["status"], summary["steps"], summary["samples"]) == ("ok", 46, 2876)
    assert list(load_file(folder / "model.safetensors")) == [
        "layers.0.bias", "layers.0.weight", "layers.2.bias", "layers.2.weight"
    ]  # fmt: skip

    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [10, 20, 23, 30, 40, 46]
    with open(folder / "results.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"]
    assert float(rows[1]["val/acc"]) == lines[-1]["val/acc"] == summary["last"]["val/acc"]

    evaluated = cli("eval", "latest")
    assert f"{summary['best']['val/acc']:.4f}" in evaluated.stdout
    assert cli("eval", folder.name[-4:]).stdout == evaluated.stdout
    listed = cli("runs").stdout
    assert folder.name in listed
    assert "ok" in listed
    again = cli("resume")
    assert again.returncode == 0
    assert "finished" in again.stdout
    refused = cli("resume", "latest", "optimizer.lr=1")
    assert refused.returncode == 2
    assert "optimizer.lr cannot change" in refused.stderr


@pytest.mark.slow
def test_your_own_model_and_a_failure_in_it(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "my_net.py").write_text(NET)
    (tmp_path / "conf/model").mkdir(parents=True)
    (tmp_path / "conf/model/net.yaml").write_text("# mine\n_target_: my_net.Net\nwidth: 7\n")
    done = cli("train", "model=net", "epochs=1", "report=false")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Net 64-7-10, 535 parameters" in done.stdout

    failed = cli("train", "model=net", "model.width=13", "report=false")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[0] == "error: RuntimeError: thirteen is unlucky (my_net.py line 15)"
    log = (tmp_path / "outputs/latest/train.log").read_text()
    assert log.startswith(failed.stdout)
    assert "Traceback" in log[len(failed.stdout) :]
    assert json.loads((tmp_path / "outputs/latest/summary.json").read_text())["status"] == "failed"

    typo = cli("train", "model=net", "+model.widt=3")
    assert typo.returncode == 2
    assert "model.width" in typo.stderr


def test_divergence_is_exit_3_and_names_step_and_rate(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", "optimizer.lr=1e30")
    assert done.returncode == 3
    assert "step 2 with learning rate 1e+30" in done.stderr
    summary = json.loads((tmp_path / "outputs/latest/summary.json").read_text())
    assert summary["status"] == "diverged"


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_resume_ends_with_the_same_weights(
    number: signal.Signals, code: int, cli: Cli, tmp_path: Path
) -> None:
    words = ["train", "epochs=40", "model.dropout=0.3", "report=false"]
    process = subprocess.Popen(
        [sys.executable, "-m", "trainer", *words, "epochs=100000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip().startswith("1/"):  # of so many evaluations few have a row
            break
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    assert f"stopped by {number.name} at step" in err
    assert "trainer resume outputs/" in err
    stopped = (tmp_path / "outputs/latest").resolve()
    at = int(next((stopped / "checkpoints").iterdir()).name.removeprefix("step-"))
    epochs = at // 23 + 2

    resumed = cli("resume", "latest", f"epochs={epochs}")
    assert resumed.returncode == 0, resumed.stderr
    whole = cli(*words, f"epochs={epochs}")
    assert whole.returncode == 0, whole.stderr
    straight = (tmp_path / "outputs/latest").resolve()
    assert straight != stopped
    final = f"checkpoints/step-{epochs * 23:08d}"
    for name in ("weights.safetensors", "optimizer.safetensors"):
        assert (stopped / final / name).read_bytes() == (straight / final / name).read_bytes()
    assert (stopped / "results.csv").read_text() == (straight / "results.csv").read_text()


@pytest.mark.slow
def test_a_sweep_by_hydras_basic_launcher(cli: Cli, tmp_path: Path) -> None:
    words = ["hydra/launcher=basic", "epochs=1"]
    done = cli("train", "optimizer.lr=1e-3,1e30", *words, "-m")
    assert done.returncode == 1
    (sweep,) = (tmp_path / "outputs/sweeps").glob("*/*")
    statuses = [json.loads((sweep / job / "summary.json").read_text())["status"] for job in ("000", "001")]
    assert statuses == ["ok", "diverged"]
    assert not (sweep / "000/results.png").exists()


@pytest.mark.slow
def test_no_color_and_ascii_terminals_are_respected(cli: Cli) -> None:
    done = cli("train", "epochs=3", "report=false", PYTHONIOENCODING="ascii", NO_COLOR="1")
    assert done.returncode == 0
    assert done.stdout.isascii()
    assert "|" in done.stdout


def test_two_hundred_folders_for_two_hundred_processes(tmp_path: Path) -> None:
    program = """
import os, sys
from trainer.disk import layout
read, write = os.pipe()
children = []
for _ in range(200):
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)  # returns when the parent closes the pipe: all at the same moment
        layout.create("outputs", "digits-mlp")
        os._exit(0)
    children.append(pid)
os.close(write)
sys.exit(sum(os.waitpid(pid, 0)[1] != 0 for pid in children))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 0
    folders = list((tmp_path / "outputs").glob("20*/*"))
    assert len(folders) == 200
    assert (tmp_path / "outputs/latest").resolve() in folders


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_the_default_run_reaches_its_accuracy_whatever_the_seed(seed: int, cli: Cli, tmp_path: Path) -> None:
    done = cli("train", f"seed={seed}", f"dataset.split_seed={seed}", "report=false")
    assert done.returncode == 0
    assert json.loads((tmp_path / "outputs/latest/summary.json").read_text())["best"]["val/acc"] >= 0.96
