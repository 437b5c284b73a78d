"""trainer doctor: the table of all guards, shared rows, and a batch that is learned or the reason why it is not."""

import re
from pathlib import Path

import pytest
import torch
from broken import BLOBS, data, model
from conftest import config

from trainer.build.build import build
from trainer.cli import main
from trainer.diagnosis.overfit import loss_range
from trainer.guards.finding import CHECKS

QUICK = ["threads=1", "device=cpu", "optimizer=adam"]
SMOOTHED = ["loss=cross_entropy", "loss.label_smoothing=0.1"]


def doctor(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    """(exit code, what was printed); no line is too wide, and no file was written."""
    code = main(["doctor", *QUICK, *words])
    said = capsys.readouterr()
    assert max(map(len, said.out.splitlines())) <= 78
    assert said.err == ""
    assert not Path("outputs").exists()
    return code, said.out


def rows(out: str) -> dict[str, str]:
    """The table as {check: the rest of its rows, on one line}."""
    table: dict[str, list[str]] = {}
    name = ""
    for line in out[out.index("──\n") + 3 :].split("\n\n")[0].splitlines():
        name = line[:14].strip() or name
        table.setdefault(name, []).extend(line[15:].split())
    return {name: " ".join(words) for name, words in table.items()}


def test_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = doctor(capsys, *BLOBS)
    assert (code, rows(out)) == (0, dict.fromkeys(CHECKS, "ok"))
    assert "18 checks: no guard trips" in out


TRIPS = [
    ([*BLOBS, *model("Softmax")], "activation", "logits: remove"),
    ([*BLOBS, *model("LeftInEval")], "eval", "self.eval() from"),
    ([*BLOBS, *model("Unused")], "gradient", "forgotten.weight"),
    ([*BLOBS, *model("Plain"), "optimizer.lr=1e-30"], "nothing moved", "trainer lr-find"),
    ([*BLOBS, "+dataset.twice=true"], "shared rows", "validation rows"),
    ([*BLOBS, *model("Logarithm")], "not finite", "log (Log) is the first"),
    ([*BLOBS, *model("Softmax"), "guards=strict"], "activation", "logits"),
]


@pytest.mark.parametrize(("words", "check", "text"), TRIPS)
def test_a_guard_that_trips_is_a_row_and_exit_code_1(
    words: list[str], check: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out = doctor(capsys, *words)
    assert code == 1
    wrong = {name: row for name, row in rows(out).items() if row != "ok"}
    assert list(wrong) == [check]
    assert set(re.findall(r"[\w.()]+", text)) <= set(re.findall(r"[\w.()]+", wrong[check])), wrong
    assert "1 tripped" in out


def test_what_cannot_be_trained_at_all_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *BLOBS, *model("Detached")]) == 2
    assert "the outputs of Detached have no gradient by its parameters" in capsys.readouterr().err


def test_twins_of_the_data_itself_and_what_cannot_be_checked_trip_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = doctor(capsys, "dataset=iris", "dataset.split_seed=5", "model=linear")
    assert code == 0
    assert "note:" in rows(out)["shared rows"]
    code, out = doctor(capsys, "dataset=line", "dataset.val_fraction=0")
    assert code == 0
    assert rows(out)["first loss"].startswith("– nothing to compare MSELoss with")
    assert rows(out)["shared rows"] == "– no validation rows"


def test_a_frozen_layer_is_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    code, out = doctor(capsys, *BLOBS, *model("Frozen"))
    assert code == 0
    assert rows(out)["frozen"].startswith("note: Frozen: 2 of 4 parameters")


def test_a_wrong_config_is_an_error_as_everywhere(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "model.hiden=[3]"]) == 2
    assert "model.hidden" in capsys.readouterr().err


@pytest.mark.parametrize("words", [BLOBS, ["dataset=diabetes", "optimizer.lr=0.01"], [*BLOBS, *SMOOTHED]])
def test_a_batch_is_learned(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out = doctor(capsys, "--overfit", *words, "scheduler=onecycle")
    assert code == 0, out
    steps = re.search(r"learned  the batch of 64: loss (\S+) -> (\S+) in (\d+) steps", out)
    assert steps is not None, out
    assert float(steps[2]) < float(steps[1])
    assert 1 < int(steps[3]) < 500
    assert "loss  ⠒ train" in out


@pytest.mark.parametrize("augment", ["augment.mixup=5", "augment.crop=8"])
def test_the_batch_is_not_augmented(augment: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Mixed rows never reach the loss of hard labels, and black pictures have several targets."""
    code, out = doctor(capsys, "--overfit", "dataset=digits", "model=cnn", "optimizer.lr=0.01", augment)
    assert code == 0, out
    assert "learned  the batch of 64" in out


def test_how_low_a_loss_can_get_is_known_of_few() -> None:
    """Of Poisson's it is not 0; a guess for the pinball loss has several numbers for each target."""
    targets = torch.tensor([[1.0], [3.0]])
    poisson = ("loss=mse", "loss._target_=torch.nn.PoissonNLLLoss")
    for words, known in ((["loss=mse"], (0.0, 1.0)), (poisson, None), (["loss=quantile"], None)):
        run, _ = build(config(*QUICK, "dataset=line", *words))
        assert loss_range(run, [targets]) == known


REASONS = [
    ([*BLOBS, *model("Softmax")], "a softmax comes before the loss"),
    ([*data("Contradictory"), "dataset.val_fraction=0", "loader.batch_size=128"], "128 of 128 samples have the same"),
    ([*BLOBS, "optimizer.lr=1e-5", "optimizer=sgd"], "its loss was still falling"),
    ([*data("Noise"), "model=linear", "optimizer.lr=0.1"], "15 weights for 64 samples of 4 numbers"),
    ([*BLOBS, "model.hidden=[32]", "model.dropout=0.9", "optimizer.lr=0.1"], "dropout of 0.9 is in the way"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "reason"), REASONS)
def test_why_a_batch_is_not_learned(words: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = doctor(capsys, "--overfit", *words)
    assert code == 1
    assert "not learned: loss" in out
    assert reason in " ".join(out.split())
    assert "try: " in out
