"""explain=N: the five verbs in order, with numbers that autograd and subtraction give too; and nothing where N is 0."""

import re
from pathlib import Path

import pytest
import torch
from conftest import config
from safetensors.torch import load_file
from torch import nn

from trainer.build.build import build
from trainer.cli import main
from trainer.listeners.explain import Explain
from trainer.run import runner

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
    ((x, y, _, _),) = next(run.windows())
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
