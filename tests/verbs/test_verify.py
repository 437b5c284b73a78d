"""trainer verify, on the real command line."""

import dataclasses
import os
import random
import signal
import subprocess
import sys

import pytest
from conftest import config
from live_run import ROOT, alive, children, until

from trainer.checkpoint import checkpoints
from trainer.diagnosis.fingerprint import evidence
from trainer.verbs import verify


@pytest.mark.slow
def test_a_run_that_resumes_exactly_is_verified(cli) -> None:
    done = cli("verify", "model.dropout=0.2", "scheduler=cosine", "max_steps=60", "threads=1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("\nsame ") == 7
    assert "ok       killed and resumed, 60 steps" in done.stdout
    assert cli("train", "max_steps=30", "report=false").returncode == 0
    assert cli("verify", "latest").returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize(("save_at", "kill_at"), [(7, 8), (8, 9), (19, 20)])
def test_the_kill_waits_for_a_checkpoint(tmp_path, save_at, kill_at) -> None:
    """A step followed by an evaluation is saved after it: a kill before that leaves a run that starts from step 0."""
    data = dataclasses.asdict(config("dataset=iris", "max_steps=20", "eval_every=4steps", "report=false"))
    verify._attempt(tmp_path / "killed", data, True, save_at, kill_at)
    assert checkpoints(tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_steps", "words", "resumed_from"),
    [
        (20, [], ["step-00000019"]),
        (16, ["compile=step", "compiler.steps=8"], ["step-00000001"]),  # asked in the last call, it saves at its end
    ],
)
def test_a_resumed_run_has_steps_to_take(tmp_path, monkeypatch, num_steps, words, resumed_from) -> None:
    """At the latest step that is drawn. A run that is resumed after its last step has nothing to differ in."""
    monkeypatch.setattr(random.SystemRandom, "randint", lambda self, least, most: most)
    monkeypatch.chdir(tmp_path)
    words = [f"max_steps={num_steps}", f"eval_every={num_steps}steps", "threads=1", "report=false", *words]
    said: list[str] = []
    assert verify._compare(dataclasses.asdict(config(*words)), True, tmp_path, lambda *lines: said.extend(lines)) == 0
    assert [line.split()[-1] for line in said if "resumed from" in line] == resumed_from


@pytest.mark.slow
@pytest.mark.parametrize(("dynamic", "exact"), [("false", True), ("null", False)])
def test_a_compiled_model_resumes_exactly_unless_its_graph_is_left_to_what_was_met(tmp_path, dynamic, exact) -> None:
    """Resumed in the third epoch, whose shorter last batch torch has not seen since the resume."""
    words = ["model=cnn", "compile=model", f"compiler.dynamic={dynamic}", "max_steps=60", "threads=1", "report=false"]
    data = dataclasses.asdict(config(*words))
    verify._attempt(tmp_path / "whole", data, True)
    verify._attempt(tmp_path / "killed", data, True, 48, 53)
    verify._attempt(tmp_path / "killed", data, True)
    assert (evidence(tmp_path / "killed") == evidence(tmp_path / "whole")) is exact


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("words", [["loader.in_memory=false", "loader.num_workers=1"], ["nproc=2"]])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_nothing_of_verify_outlives_it(number, words, tmp_path) -> None:
    """Its training, workers and ranks included, and no temporary folder."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(temporary)}
    command = [sys.executable, "-m", "trainer", "verify", "epochs=100000", "device=cpu", "threads=1", *words]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=-1)
    until(lambda: list(temporary.glob("trainer-verify-*/undisturbed/metrics.jsonl")))
    below = children(process.pid)
    assert len(below) >= 2
    process.send_signal(number)
    process.communicate()
    until(lambda: not alive(below))
    until(lambda: not [path for path in temporary.iterdir() if not path.name.startswith("torchinductor_")])


@pytest.mark.slow
def test_a_model_with_a_hidden_count_is_not(cli, tmp_path) -> None:
    """In a run of two steps, of which one is left after the resume."""
    (tmp_path / "mine.py").write_text(
        "import warnings\n"
        "from torch import nn\n"
        "class Forgetful(nn.Linear):\n"
        "    calls = 0\n"
        "    def __init__(self, in_features, num_classes):\n"
        "        super().__init__(in_features, num_classes)\n"
        "    def forward(self, x):\n"
        "        self.calls += 1\n"
        "        warnings.warn('calls are counted')\n"
        "        return super().forward(x) * (1 + self.calls)\n"
    )
    done = cli("verify", "model=own", "model._target_=mine.Forgetful", "dataset=iris", "max_steps=2")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "DIFFERS  weights" in done.stdout
    assert done.stdout.count("\nwarning  calls are counted\n         at ") == 1
