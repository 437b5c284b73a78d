"""trainer verify, on the real command line."""

import dataclasses

import pytest
from conftest import config

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
def test_a_model_with_a_hidden_count_is_not(cli, tmp_path) -> None:
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
    done = cli("verify", "model=own", "model._target_=mine.Forgetful", "dataset=iris", "max_steps=20")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "DIFFERS  weights" in done.stdout
    assert done.stdout.count("\nwarning  calls are counted\n         at ") == 1
