"""Hugging Face's models: a tiny GPT-2 and a tiny BERT, from a config, trained on padded batches of dicts."""

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import config
from live_run import ROOT
from safetensors.torch import save_file

from trainer.build.build import build
from trainer.cli import main
from trainer.loop import train
from trainer.run.header import loss_lines

pytest.importorskip("transformers")
pytestmark = [pytest.mark.optional, pytest.mark.slow]

QUICK = ["threads=1", "device=cpu"]
DATA = ["dataset=own", "dataset._target_=hugging.Song"]
GPT2 = [*DATA, "model=own", "model._target_=hugging.gpt2"]
SIZES = "vocab_size:7,hidden_size:16,num_hidden_layers:1,num_attention_heads:2,intermediate_size:32"
STEADY = "hidden_dropout_prob:0.0,attention_probs_dropout_prob:0.0"


def bert(head: str, num_labels: int, labels: str) -> list[str]:
    """A BERT as a user types it: a class of transformers, its config in it."""
    sizes = f"{{_target_:transformers.BertConfig,{SIZES},{STEADY},num_labels:{num_labels}}}"
    return [
        *(*DATA, f"+dataset.labels={labels}"),
        *("model=own", f"model._target_=transformers.Bert{head}", f"+model.config={sizes}"),
    ]


TAGS, ODD = bert("ForTokenClassification", 3, "tags"), bert("ForSequenceClassification", 2, "odd")
JOBS: dict[str, tuple[list[str], int]] = {  # the words, the shift
    "gpt2": ([*GPT2, "loss=model"], 1),
    "gpt2, loss of ours": ([*GPT2, "+dataset.labels=next"], 0),
    "tags": ([*TAGS, "loss=model"], 0),
    "tags, loss of ours": (TAGS, 0),
    "odd": ([*ODD, "loss=model"], 0),
    "odd, loss of ours": (ODD, 0),
}


@pytest.mark.parametrize("name", JOBS)
def test_three_batches_are_one_step_of_their_union(name: str) -> None:
    """GPT-2 computes its own loss in float32, whatever its weights are: there the steps are equal to 1e-6."""
    words, shift = JOBS[name]

    def after(*more: str) -> tuple[Any, dict[str, torch.Tensor]]:
        steady = ["dtype=float64", "optimizer=sgd", "optimizer.lr=0.5", "loader.shuffle=false", "max_steps=2"]
        run, setup = build(config(*QUICK, *words, *steady, *more))
        list(train(run))
        assert (run.fit.path, run.fit.shift) == (("logits",), shift)
        if "loss=model" in words:
            line = "the model's own, a mean over targets; monitored: val/" + ("acc" if name == "odd" else "loss")
            assert loss_lines(run, setup)[0] == line
        return run, run.model.state_dict()

    _, parts = after("loader.batch_size=4", "accumulate=3")
    _, union = after("loader.batch_size=12")
    close = 1e-6 if name == "gpt2" else 1e-9
    assert all(torch.allclose(parts[key], union[key], rtol=0, atol=close) for key in union)


def test_a_gpt2_that_has_learned_a_song_is_right_at_every_next_note(capsys: pytest.CaptureFixture[str]) -> None:
    """In training, eval, predict and on the page; what is about the next note says so and is shifted by one."""
    words = [*QUICK, *JOBS["gpt2"][0], "optimizer.lr=0.02", "epochs=25", "loader.batch_size=16"]
    assert main(["train", *words]) == 0
    out = capsys.readouterr().out
    assert "shifts its targets by one: metrics and predictions are of the next position" in " ".join(out.split())
    assert main(["eval", "latest"]) == 0
    found = dict(re.findall(r"^val/(\w+) +([\d.]+)$", capsys.readouterr().out, re.MULTILINE))
    assert float(found["acc"]) == 1.0
    assert float(found["perplexity"]) == pytest.approx(torch.tensor(float(found["loss"])).exp().item(), abs=2e-4)

    ids = (torch.arange(8) + torch.arange(7)[:, None]) % 7
    save_file({"input_ids": ids, "attention_mask": torch.ones_like(ids)}, "songs.safetensors")
    assert main(["predict", "latest", "songs.safetensors", "-o", "out.csv"]) == 0
    rows = list(csv.DictReader(Path("out.csv").read_text().splitlines()))
    assert [int(row["position"]) for row in rows[:7]] == list(range(1, 8))
    assert [int(row["prediction"]) for row in rows] == ids[:, 1:].flatten().tolist()
    assert main(["report", "latest"]) == 0
    assert "Loss by position" in next(Path("outputs").rglob("report.html")).read_text()


@pytest.mark.parametrize("name", ["gpt2", "tags"])
def test_it_resumes_to_the_bit(name: str, cli: Any) -> None:
    words = [*QUICK, *JOBS[name][0], "epochs=3", "loader.batch_size=16"]
    words += ["+model.dropout=0.1"] if name == "gpt2" else []
    path = f"{ROOT}:{ROOT}/tests/support"
    verified = cli("verify", *words, timeout=580, PYTHONPATH=path)  # imports transformers five times
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize("name", ["gpt2", "tags"])
def test_it_is_exported(name: str) -> None:
    """Its masks are those of padding: of a position that sees nothing, ONNX and torch say different things."""
    pytest.importorskip("onnxscript")
    assert main(["train", *QUICK, *JOBS[name][0], "max_steps=2", "report=false"]) == 0
    assert main(["export", "latest"]) == 0
    assert main(["export", "latest", "format=onnx"]) == 0


def test_two_processes_equal_one(cli: Any) -> None:
    words = [*JOBS["tags"][0], *QUICK, "dtype=float64", "accumulate=3", "loader.batch_size=7", "epochs=2"]

    def loss(*more: str) -> float:
        path = f"{ROOT}:{ROOT}/tests/support"
        done = cli("train", *words, *more, "report=false", timeout=280, PYTHONPATH=path)
        assert done.returncode == 0, done.stderr
        rows = next(Path("outputs").rglob("metrics.jsonl")).read_text().splitlines()
        Path("outputs").rename(f"outputs{len(more)}")
        return [float(found) for found in re.findall(r'"val/loss": ([\d.e-]+)', "\n".join(rows))][-1]

    assert loss("nproc=2") == pytest.approx(loss(), abs=1e-9)
