"""explain=N: the five verbs in order, with numbers that autograd and subtraction give too; and nothing where N is 0."""

import io
import re
from pathlib import Path

import pytest
import torch
from conftest import config
from jobs import JOBS
from safetensors.torch import load_file
from torch import nn

from trainer.build.build import build
from trainer.cli import main
from trainer.listeners.explain import Explain
from trainer.loop import train
from trainer.run import runner
from trainer.state import TrainState
from trainer.terminal.screen import Screen

VERBS = ["zero_grad", "forward", "loss", "backward", "step"]
SMALL = ["epochs=1", "max_steps=3", "report=false", "optimizer=sgd", "optimizer.lr=0.25", "eval_every=1steps"]


def steps(out: str) -> list[str]:
    """The text of each explained step."""
    return re.findall(r"^step \d+\n((?:  .+\n)+)", out, flags=re.M)


def test_two_steps_are_told_in_five_verbs_with_true_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", *SMALL, "explain=2"]) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 78
    told = steps(out)
    assert [re.findall(r"^  (\w+)", text, flags=re.M) for text in told] == [VERBS, VERBS]
    assert "nothing to clear" in told[0]
    assert "4 gradients set to None, 0 left" in told[1]
    assert "(64, 1, 8, 8) float32, stride (64, 64, 8, 1)," in told[0]
    assert re.search(r"layers\.1 +\(64, 128\) float32, stride \(128, 1\), contiguous", told[0])

    run, _ = build(config(*SMALL))
    ((x, y, *_),) = next(run.windows())
    loss = nn.functional.cross_entropy(run.model(x), y)
    gradients = torch.autograd.grad(loss, list(run.model.parameters()))
    assert f"  loss       {loss.item():.6g}: CrossEntropyLoss of (64, 10) against (64,) int64" in told[0]
    for (name, _), gradient in zip(run.model.named_parameters(), gradients, strict=True):
        norms = re.search(rf"{name} +\|grad\| (\S+)", told[0])
        moved = re.search(rf"{name} +moved (\S+)", told[0])
        assert norms is not None
        assert moved is not None
        assert float(norms[1]) == pytest.approx(gradient.norm().item(), rel=1e-3)
        assert float(moved[1]) == pytest.approx(0.25 * gradient.norm().item(), rel=1e-3)


def test_batches_that_accumulate_and_clipping_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["accumulate=3", "clip_grad_norm=0.01", "autocast=bf16", "loader.batch_size=16"]
    assert main(["train", *SMALL, *words, "explain=1"]) == 0
    (told,) = steps(capsys.readouterr().out)
    assert "MLP, on the first of 3 batches" in told
    assert "over all 3 batches" in told
    assert "then clipped to a norm of 0.01" in told
    assert "(16, 128) bfloat16" in told
    norms = [float(number) for number in re.findall(r"\|grad\| (\S+)", told)]
    moves = [float(number) for number in re.findall(r"moved (\S+)", told)]
    assert len(norms) == len(moves) == 4
    assert sum(move**2 for move in moves) ** 0.5 == pytest.approx(0.25 * 0.01, rel=1e-2)
    assert sum(norm**2 for norm in norms) ** 0.5 > 0.1


def test_what_is_unfrozen_is_told_from_its_first_step_on(capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SMALL, "freeze=[layers.0]", "unfreeze_at=1steps", "swa=2steps", "swa_lr=0.1"]
    assert main(["train", *words, "explain=3"]) == 0
    told = steps(capsys.readouterr().out)
    names = [re.findall(r"(\S+) +\|grad\|", text) for text in told]
    assert [sorted(found) for found in names] == [
        ["layers.2.bias", "layers.2.weight"],
        *[["layers.0.bias", "layers.0.weight", "layers.2.bias", "layers.2.weight"]] * 2,
    ]
    assert ["2 gradients set to None, 0 left" in text for text in told] == [False, True, False]
    for text, rate in zip(told, (0.25, 0.25, 0.1), strict=True):
        norms = dict(re.findall(r"(\S+) +\|grad\| (\S+)", text))
        moves = dict(re.findall(r"(\S+) +moved (\S+)", text))
        assert f"SGD lr {rate:g}" in text
        assert {name: float(move) for name, move in moves.items()} == {
            name: pytest.approx(rate * float(norm), rel=1e-2) for name, norm in norms.items()
        }


def told(*words: str) -> tuple[TrainState, str]:
    """(The run after one step, what was told of it with single spaces)."""
    run, _ = build(config(*words, "max_steps=1", "threads=1", "device=cpu", "optimizer=sgd", "optimizer.lr=0.25"))
    out = io.StringIO()
    with Screen(out) as screen:
        explain = Explain(run, screen, 1)
        for event in train(run):
            explain(event)
    return run, " ".join(out.getvalue().split())


def test_inputs_and_outputs_have_their_names() -> None:
    for job, lines in {
        "two inputs": ["batch[a] (64, 3) float32", "batch[b] (64, 2) float32"],
        "tagger": ["batch[input_ids] (64, 9) int64", "CrossEntropyLoss of (64, 9, 3) against (64, 9) int64"],
        "recurrent": ["gru[0] (64, 6, 16)", "gru[1] (1, 64, 16)", "CrossEntropyLoss of (64, 2) against (64,) int64"],
        "variational": ["output[mean] (64, 4)", "Bound of {output: (64, 64), mean: (64, 4), log_variance: (64, 4)}"],
        "own loss": ["batch[labels] (64, 8) int64", "output[loss] () float32"],
    }.items():
        _, text = told(*JOBS[job])
        assert [line for line in lines if line not in text] == [], text


def test_what_the_loss_compares_with_is_said() -> None:
    run, text = told(*JOBS["tagger"])
    ((_, y, *_),) = next(iter(run.train_batches.windows(0)))
    assert f"(64, 9) int64; {int((y >= 0).sum())} of {y.numel()} targets count, the others are -100" in text
    assert "MSELoss of (64, 64) against the input, (64, 64) float32 " in told(*JOBS["autoencoder"])[1]
    assert "count" not in told(*JOBS["recurrent"])[1]


def test_terms_and_what_a_loss_trains_are_told() -> None:
    run, text = told(*JOBS["distilled"])
    run, _ = build(config(*JOBS["distilled"], "max_steps=1", "threads=1", "device=cpu"))
    ((x, y, *_),) = next(run.windows())
    terms = run.loss_fn(run.model(x), y, inputs=x)
    total = terms["hard"] + terms["soft"]
    numbers = f"hard {terms['hard'].item():.6g} soft {terms['soft'].item():.6g}"
    assert f"loss {total.item():.6g}: Distilled of (64, 10) against (64,) int64, with the inputs {numbers}" in text
    (gradient,) = torch.autograd.grad(total, run.loss_fn.temperature)
    assert f"loss.temperature |grad| {gradient.norm().item():.4g}" in text
    assert f"loss.temperature moved {0.25 * gradient.norm().item():.4g}" in text
    assert "teacher" not in text


def test_it_only_watches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Explain] = []

    class Noted(Explain):
        def __init__(self, *args: object) -> None:
            super().__init__(*args)  # type: ignore[arg-type]
            made.append(self)

    monkeypatch.setattr(runner, "Explain", Noted)
    weights = []
    for words in ([], ["explain=2"]):
        assert main(["train", *SMALL, *words]) == 0
        weights.append(load_file(tmp_path / "outputs/latest/model.safetensors"))
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    (explain,) = made
    run = explain.run
    hooked = [module for module in [*run.model.modules(), run.loss_fn] if module._forward_hooks]
    pre = [module for module in run.model.modules() if module._forward_pre_hooks]
    assert (hooked, pre, explain.handles) == ([], [], [])
    assert not run.optimizer._optimizer_step_pre_hooks
    assert not run.optimizer._optimizer_step_post_hooks
    assert not any(p._post_accumulate_grad_hooks for p in run.model.parameters())


def test_a_compiled_model_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "compile=model", "explain=1"]) == 2
    assert "compile=none" in capsys.readouterr().err
