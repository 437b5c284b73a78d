"""NaN and infinity are traced to step, batch and the first module that made one, without a cost while all is well."""

import re
from pathlib import Path

import pytest
import torch
from broken import BLOBS, SHORT, data, model
from conftest import config
from jobs import JOBS, own
from torch.utils.data import TensorDataset

from trainer import checkpoint
from trainer.build.build import build
from trainer.cli import main
from trainer.run import replay as divergence
from trainer.run import runner
from trainer.stopping import StopReason


class Silent(TensorDataset):
    """Of the first four rows no target counts; the fifth holds NaN."""

    def __init__(self) -> None:
        labels = torch.tensor([[0, 1, -100]]).repeat(12, 1)
        labels[:4] = -100
        x = torch.rand(12, 3, 1)
        x[4] = torch.nan
        super().__init__(x, labels)


SILENT = [
    *("dataset=own", "dataset._target_=test_replay.Silent", "dataset.val_fraction=0", "loader.batch_size=4"),
    *("model=own", "model._target_=torch.nn.Linear", "+model.in_features=1", "+model.out_features=2"),
    "loader.shuffle=false",
]
CASES = [  # what is typed, what is said
    ([*BLOBS, *model("Logarithm")], r"step 3 \(batch 3 of epoch 1\): log \(Log\) is the first .* makes infinity"),
    ([*BLOBS, "+dataset.nan_in=70", "dataset.val_fraction=0"], r"step \d \(batch \d of epoch 1\): the input of sample"),
    ([*BLOBS, *model("RootAtZero")], r"step 1 \(batch 1 of epoch 1\): forward and loss are finite, a gradient is not"),
    (["dataset=digits", "optimizer=sgd", "optimizer.lr=1e25"], r"step 2 .*: layers\.2 \(Linear\) is .* weights of"),
    (SILENT, r"step 2 \(batch 2 of epoch 1\): the input of sample 1 in the batch holds NaN"),
    (["dataset=digits", "optimizer=sgd", "optimizer.lr=1e39"], r"step 1: the optimizer made layers\.\d\.\w+ infinite"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "text"), CASES)
def test_the_first_thing_that_is_not_finite_is_named(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *SHORT, *words]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(text, said), said


ONE_BATCH = ["loader.batch_size=64", "optimizer.lr=0.01"]
TREES = [  # the same of trees
    ([*JOBS["variational"], "+loss.bad_at=7"],
     r"step 6 \(batch 6 of epoch 1\): the loss \(Bound\) is the first .* makes NaN in its term 'kl'"),
    ([*JOBS["variational"], "+loss.bad_at=7", "+loss.watched=true"], r"step 6 .* makes NaN in its term 'kl'"),
    ([*JOBS["two inputs"], "+dataset.scale=nan"], r"step 1 .*: the input 1 of sample 1 in the batch holds NaN"),
    ([*own(dataset="Curves", model="Broken"), "dataset.val_fraction=0"],
     r"step 1 .*: gru \(GRU\) is the first module that makes NaN in its output '0'"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "text"), TREES)
def test_a_term_an_input_and_an_output_are_named(
    words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", *SHORT, *words, *ONE_BATCH]) == 3
    said = capsys.readouterr()
    assert re.search(text, " ".join(said.out.split())), said.out
    what = "the term 'kl' of the loss is NaN or infinite at step 6" if "term" in text else "the loss is NaN or infinite"
    assert f"error: {what}" in said.err


def test_a_term_that_is_not_minimised_ends_the_run_too_and_leaves_good_weights(tmp_path: Path) -> None:
    """The step that meets it has been taken, but is not saved."""
    words = [*JOBS["variational"], "+loss.bad_at=7", "+loss.watched=true", "checkpoint.every_seconds=0"]
    assert main(["train", *SHORT, *words, "guards=none"]) == 3
    (folder,) = tmp_path.glob("outputs/2*/*")
    assert [path.name for path in checkpoint.checkpoints(folder)][-1] == "step-00000005"


def test_the_sample_that_is_named_is_the_one(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*BLOBS, "+dataset.nan_in=70", "dataset.val_fraction=0"]
    assert main(["train", *SHORT, *words]) == 3
    out = " ".join(capsys.readouterr().out.split())
    said = re.search(r"batch (\d) of epoch 1\): the input of sample (\d+) in the batch holds NaN", out)
    assert said is not None
    run, _ = build(config(*SHORT, *words))
    order = run.train_batches.order(0)
    assert order[64 * (int(said[1]) - 1) + int(said[2]) - 1] == 70


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps at which replays begin."""
    steps: list[int] = []
    replay = divergence.replay
    monkeypatch.setattr(divergence, "replay", lambda run: steps.append(run.progress.step) or replay(run))
    return steps


def test_it_begins_at_the_last_checkpoint(begun: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    words = [*BLOBS, "+dataset.nan_in=70", "dataset.val_fraction=0", "loader.shuffle=false", "loader.batch_size=8"]
    assert main(["train", *SHORT, *words, "checkpoint.every_seconds=0"]) == 3
    assert begun == [8]
    assert "step 9 (batch 9 of epoch 1): the input of sample 7" in capsys.readouterr().out


@pytest.mark.parametrize("seconds", [0, 60])
def test_a_replay_unfreezes_and_averages_as_the_run_did(
    seconds: int, begun: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    """From a checkpoint after both, and from the first step. What diverges is what was frozen."""
    words = [
        *("dataset=iris", "loader.batch_size=30", "epochs=6", "optimizer=sgd", "report=false", "device=cpu"),
        *("freeze=[layers.0]", "unfreeze_at=4steps", "optimizer.groups=[{params: layers.0, lr: 1e15}]"),
        *("threads=1", "swa=3steps", "swa_lr=0.1", f"checkpoint.every_seconds={seconds}"),
    ]
    assert main(["train", *words]) == 3
    said = capsys.readouterr()
    assert "the loss is NaN or infinite at step 8" in said.err
    assert re.search(r"step 8 .*: layers\.2 \(Linear\) is the first module", " ".join(said.out.split()))
    assert begun == [0 if seconds else 7]


def test_what_is_not_a_function_of_the_seed_is_said_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = runner.train

    def poisoned(run: object) -> object:
        for event in step(run):
            run.progress.stop_reason = (
                StopReason.DIVERGED if getattr(event, "step", 0) == 3 else run.progress.stop_reason
            )
            yield event

    monkeypatch.setattr(runner, "train", poisoned)
    assert main(["train", *SHORT, *BLOBS]) == 3
    assert "met no NaN or infinity" in " ".join(capsys.readouterr().out.split())


def test_without_guards_nobody_goes_the_way_again(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(divergence, "replay", lambda run: pytest.fail("replayed"))
    assert main(["train", *SHORT, *data("Blobs"), "+dataset.nan_in=9", "guards=none"]) == 3
    assert "warning" not in capsys.readouterr().out
