"""plan, doctor, lr-find, bench and verify answer for trees, loss terms, teachers and a model's own loss."""

import re
from pathlib import Path

import pytest
from conftest import config
from jobs import JOBS

from trainer.build.build import build
from trainer.cli import main
from trainer.diagnosis import plan

QUICK = ["threads=1", "device=cpu", "optimizer=adam", "optimizer.lr=0.01"]
ANSWERS = {"plan": "time     about", "doctor": "18 checks: no guard trips", "lr-find": "suggest  optimizer"}


@pytest.mark.parametrize("name", JOBS)
@pytest.mark.parametrize("verb", ["plan", "doctor", pytest.param("lr-find", marks=pytest.mark.slow)])
def test_a_verb_answers(verb: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, *QUICK, *JOBS[name]]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert max(len(line) for line in out.splitlines() if "try:" not in line and "next " not in line) <= 78
    assert ANSWERS[verb] in out
    assert not Path("outputs").exists()


LEARNED, FELL = "learned  the batch of 64: loss ", "fell     the batch of 64: loss "  # what --overfit says
SAID = dict.fromkeys(["tagger", "two inputs", "labels", "recurrent"], LEARNED)
SAID |= dict.fromkeys(["variational", "own loss", "distilled"], FELL)  # losses that nobody knows the least of


@pytest.mark.parametrize("name", SAID)
def test_a_batch_is_learned_or_its_loss_falls(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--overfit", *QUICK, *JOBS[name]]) == 0
    out = capsys.readouterr().out
    assert SAID[name] in out
    assert ("so whether that is enough is yours to say" in " ".join(out.split())) == (SAID[name] == FELL)


def test_a_batch_of_padding_is_not_learned_and_doctor_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", *QUICK, *JOBS["tagger"], "+dataset.padding=0"]) == 1
    assert re.search(r"^padding +dataset: 29% of the targets are 0", capsys.readouterr().out, flags=re.M)


def test_what_a_loss_holds_takes_memory() -> None:
    """A teacher of 2,410 numbers once, a temperature with its copy, gradient and moments."""
    found = []
    for words in (["dataset=digits"], JOBS["distilled"]):
        run, setup = build(config(*words, "optimizer=adam", "threads=1", "device=cpu"))
        plan.timing(run)
        found.append(plan.memory(run, *setup.splits.sample, 2, 2))
    plain, distilled = found
    assert distilled.weights - plain.weights == 4 * (2410 + 2)
    assert distilled.gradients - plain.gradients == 4
    assert distilled.optimizer - plain.optimizer == 4 * 3


@pytest.mark.slow
def test_bench_measures_terms(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*QUICK, *JOBS["distilled"], "compile=none"]
    assert main(["bench", *words, "--seconds", "0.05"]) == 0
    assert re.search(r"a step  data \d+% · forward \d+% · backward \d+% · optimizer \d+%", capsys.readouterr().out)


@pytest.mark.slow
def test_verify_finds_the_same_bits_of_a_model_with_its_own_loss(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *QUICK, *JOBS["own loss"], "epochs=2"]) == 0
    assert "DIFFERS" not in capsys.readouterr().out
