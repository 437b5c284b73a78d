"""The compiled step against the eager one. Most tests trace the whole graph and run it without generated code."""

import functools
from pathlib import Path

import pytest
import torch
from conftest import Cli, config
from torch import Tensor, nn

from trainer.build import build
from trainer.compiled import CompiledStep
from trainer.events import Stepped
from trainer.evidence import evidence
from trainer.loop import train
from trainer.state import TrainState

SMALL = ["dataset=iris", "loader.batch_size=16", "model.hidden=[8]", "epochs=3", "dtype=float64"]
TOLERANCE = {"rtol": 1e-10, "atol": 1e-12}  # the same formulas in float64: what is left is the order of sums


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch.compile without a C++ compiler: the graph's operations one after another."""
    torch._dynamo.reset()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))


def trained(*overrides: str) -> tuple[TrainState, list[Stepped]]:
    run, _ = build(config(*SMALL, *overrides))
    return run, [event for event in train(run) if isinstance(event, Stepped)]


CASES = [
    ["optimizer=sgd", "optimizer.weight_decay=0.1"],
    ["optimizer=sgd", "optimizer.momentum=0.9", "optimizer.nesterov=true", "clip_grad_norm=0.1"],
    ["optimizer=adam", "optimizer.amsgrad=true", "scheduler=cosine"],
    ["optimizer=adamw", "optimizer.weight_decay=0.3", "clip_grad_norm=0.5", "scheduler=warmup"],
    ["accumulate=2", "loss=cross_entropy", "loss.weight=[1,5,2]"],
    ["dataset=diabetes", "accumulate=3", "optimizer=adam"],
    ["model.norm=batch", "optimizer=adam"],
    ["loader.in_memory=true", "dataset=own", "dataset._target_=own.Augmented"],
]


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("words", CASES, ids=[" ".join(words) for words in CASES])
def test_it_takes_the_steps_of_train_step(words: list[str]) -> None:
    eager, plain = trained(*words)
    compiled, steps = trained(*words, "compile=step")
    assert isinstance(compiled.step, CompiledStep)
    assert compiled.step.obstacle is None
    assert compiled.step.graph is not None
    for a, b in zip(steps, plain, strict=True):
        torch.testing.assert_close(a.loss, b.loss, **TOLERANCE)
        assert (a.step, a.lr) == (b.step, b.lr)
        if b.norm is not None and a.norm is not None:
            torch.testing.assert_close(a.norm, b.norm, **TOLERANCE)
    assert steps[9].norm is not None
    for name, tensor in eager.model.state_dict().items():
        torch.testing.assert_close(compiled.model.state_dict()[name], tensor, **TOLERANCE)
    ours, theirs = (run.optimizer.state_dict() for run in (compiled, eager))
    assert ours["param_groups"] == theirs["param_groups"]
    torch.testing.assert_close(ours["state"], theirs["state"], **TOLERANCE)
