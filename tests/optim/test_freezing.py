"""Frozen parameters, and the step at which they train too: against torch by hand, in a graph, and across a resume."""

import functools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import config
from torch import Tensor, nn

from trainer import checkpoint
from trainer.build.build import build
from trainer.cli import main
from trainer.disk import reading
from trainer.errors import ConfigError
from trainer.events import Stepped
from trainer.loop import train
from trainer.optim.freezing import freeze, frozen_norms
from trainer.state import TrainState

NET = ["dataset=iris", "model.hidden=[8,6]", "model.norm=batch", "loader.batch_size=32", "dtype=float64", "epochs=4"]
BODY = "freeze=[layers.0,layers.1]"
AT = 6  # of 16 steps
SCHEDULES = {
    "none": [], "cosine": ["scheduler=cosine"], "one cycle": ["scheduler=onecycle"], "warmup": ["scheduler=warmup"],
    "plateau": ["scheduler=plateau", "scheduler.patience=0", "eval_every=1steps", "optimizer.lr=0.5"],
    "step": ["scheduler=step", "scheduler.step_size=4steps"],
}  # fmt: skip


class Counting(torch.optim.SGD):
    """Counts its steps in its groups, and falls short by that: as those do that find their rate themselves."""

    def __init__(self, params: Any, lr: float) -> None:
        super().__init__(params, lr)
        for group in self.param_groups:
            group["count"] = 1

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                p.data -= group["lr"] / group["count"] * p.grad
            group["count"] += 1


def built(*words: str) -> TrainState:
    return build(config(*NET, *words))[0]


def rates(run: TrainState) -> list[list[float]]:
    """The rates of all groups in each step."""
    found = []
    for event in train(run):
        if isinstance(event, Stepped):
            found.append([float(group["lr"]) for group in run.optimizer.param_groups])
    return found


def test_what_is_frozen_has_no_gradient_no_state_and_does_not_change() -> None:
    run = built(BODY, "ema=0.9")
    before = {name: value.clone() for name, value in run.weights().items()}
    for event in train(run):
        if isinstance(event, Stepped):
            assert not run.model.layers[1].training  # the first batch norm
            assert run.model.layers[4].training
    for name, value in run.model.named_parameters():
        is_frozen = name.startswith(("layers.0.", "layers.1."))
        assert (value.grad is None) is is_frozen
        assert (value in run.optimizer.state) is not is_frozen
        assert torch.equal(value, before[name]) is is_frozen
        assert (name in run.average.tensors) is not is_frozen
    assert torch.equal(run.model.layers[1].running_mean, before["layers.1.running_mean"])
    assert not torch.equal(run.model.layers[4].running_mean, before["layers.4.running_mean"])
    assert len(run.optimizer.param_groups[0]["params"]) == 2  # those that decay


def test_who_watches_the_optimizer_watches_the_one_after_the_unfreezing() -> None:
    run, steps = built(BODY, f"unfreeze_at={AT}steps"), []
    handle = run.optimizer.register_step_pre_hook(lambda optimizer, *_: steps.append(len(optimizer.param_groups)))
    for event in train(run):
        if isinstance(event, Stepped) and event.step == AT + 2:
            handle.remove()
    assert steps == [2] * AT + [4] * 2


def test_unfreezing_is_that_of_a_hand_written_loop() -> None:
    words = ["model.norm=none", "optimizer=sgd", "optimizer.lr=0.1", "optimizer.momentum=0.9", "loader.shuffle=false"]
    words.append("freeze=['*.0.*']")
    run, other = built(*words, f"unfreeze_at={AT}steps"), built(*words)
    model, momenta = other.model, dict[nn.Parameter, Tensor]()
    for step, window in enumerate(window for _ in range(4) for window in other.train_batches.windows(0)):
        model.requires_grad_(step >= AT)
        model.layers[1:].requires_grad_()
        ((x, y, *_),) = window
        model.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        for p in filter(lambda p: p.requires_grad, model.parameters()):
            assert p.grad is not None
            momenta[p] = momenta.get(p, 0) * 0.9 + p.grad
            p.data -= 0.1 * momenta[p]
    list(train(run))
    torch.testing.assert_close(dict(run.model.state_dict()), dict(model.state_dict()), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_goes_on_as_if_all_groups_had_been_there(name: str) -> None:
    plain = rates(built(*SCHEDULES[name]))
    run = built(BODY, f"unfreeze_at={AT}steps", *SCHEDULES[name])
    found = rates(run)
    assert run.phases.begun == {"unfreeze": AT}
    assert [len(groups) for groups in found] == [2] * (AT - 1) + [4] * (17 - AT)
    if name != "plateau":  # whose falls depend on what is trained
        assert found == [[groups[0]] * len(now) for groups, now in zip(plain, found, strict=True)]
    assert all(len(set(groups)) == 1 for groups in found)
    assert (len({groups[0] for groups in found}) > 1) is (name != "none")


def test_what_an_optimizer_keeps_in_its_groups_goes_on_counting() -> None:
    run = built("optimizer._target_=test_freezing.Counting", "optimizer.lr=0.1", BODY, f"unfreeze_at={AT}steps")
    list(train(run))
    assert [group["count"] for group in run.optimizer.param_groups] == [17, 17 - AT]


RESUMED = {
    "the average before, the rest after": ["swa=4steps", "scheduler=onecycle"],
    "the rest before, the average after": ["swa=9steps", "swa_lr=0.01", "scheduler=plateau", "scheduler.patience=0"],
    "values in the groups": ["optimizer._target_=test_freezing.Counting", "optimizer.lr=0.1", "swa=9steps"],
    "an average of each step": ["ema=0.9", "scheduler=cosine", "optimizer=sgd", "optimizer.momentum=0.9"],
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_resume_before_at_and_after_the_step_is_exact(name: str) -> None:
    words = [BODY, f"unfreeze_at={AT}steps", "eval_every=3steps", "model.dropout=0.2", *RESUMED[name]]
    whole, saved = built(*words), {}
    for event in train(whole):
        if event.step in (5, AT, AT + 1, 10) and not whole.progress.evaluation_due:
            saved[event.step] = checkpoint.contents(whole, {})
    expected = checkpoint.contents(whole, {})
    assert len(saved) == 4
    for step, files in saved.items():
        again = built(*words)
        reading.parse_json(files[checkpoint.STATE], Path("saved"))
        checkpoint.load(again, files, Path("saved"))
        list(train(again))
        found = checkpoint.contents(again, {})
        assert found.keys() == expected.keys()
        assert [part for part in expected if found[part] != expected[part]] == [], step
    assert json.loads(expected[checkpoint.STATE])["phases"]["unfreeze"] == AT


@pytest.fixture
def traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """torch.compile without a C++ compiler: the graph's operations one after another."""
    torch._dynamo.reset()
    logging.disable()
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="aot_eager"))
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.slow
@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("words", [["swa=9steps"], ["ema=0.9", "optimizer=sgd"]], ids=" ".join)
def test_the_graph_is_made_again_when_more_is_trained(words: list[str]) -> None:
    eager, graph = (built(BODY, f"unfreeze_at={AT}steps", "accumulate=1", "loader.batch_size=30", *words, *how)
                    for how in ([], ["compile=step"]))  # fmt: skip
    list(train(eager))
    list(train(graph))
    assert graph.step.step.first == AT  # type: ignore[attr-defined]
    assert graph.step.step.obstacle is None  # type: ignore[attr-defined]
    torch.testing.assert_close(graph.weights(), eager.weights(), rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(graph.average.weights(graph), eager.average.weights(eager), rtol=1e-9, atol=1e-9)


def test_a_batch_norm_is_frozen_with_its_parameters_or_with_the_module_around_it() -> None:
    model = nn.ModuleDict({
        "body": nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, affine=False), nn.BatchNorm1d(2)),
        "head": nn.Sequential(nn.BatchNorm1d(2, affine=False), nn.Linear(2, 2), nn.BatchNorm1d(2)),
    })  # fmt: skip
    frozen = freeze(model, ["body", "head.2.weight"], model)
    chosen = {id(p) for p in frozen.parameters}
    assert frozen_norms(model, chosen) == [model["body"][1], model["body"][2]]
    assert frozen_norms(model, set()) == []  # those that a model freezes by itself are its own affair
    model.train()
    assert [m.training for m in model.modules() if isinstance(m, nn.BatchNorm1d)] == [False, False, True, True]
    assert sum(p.numel() for p in frozen.parameters) == 6 + 4 + 2
    frozen.thaw()
    model.train()
    assert all(m.training for m in model.modules())
    assert all(p.requires_grad for p in model.parameters())


def test_plan_shows_what_is_frozen_and_counts_the_optimizer_without_it(capsys: pytest.CaptureFixture[str]) -> None:
    quick = ["model.hidden=[512]", "epochs=2", "max_steps=3", "threads=1", "device=cpu"]

    def memory(*words: str) -> dict[str, float]:
        assert main(["plan", *quick, *words]) == 0
        out = capsys.readouterr().out
        assert ("33,280 of 38,410 parameters until epoch 5, after the end" in out) is bool(words)
        line = " ".join(out.partition("memory")[2].partition("time ")[0].split())
        return {name: float(size) for name, size in (part.split() for part in line.split(": ")[1].split(", "))}

    whole, part = memory(), memory("freeze=[layers.0]", "unfreeze_at=5epochs")
    assert (whole["optimizer"], whole["gradients"]) == (0.31, 0.15)  # 38,410 numbers, twice and once, of 4 bytes
    assert (part["optimizer"], part["gradients"]) == (0.04, 0.02)  # 5,130


def test_a_group_that_waits_is_shown_and_one_that_never_trains_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["epochs=2", "threads=1", "freeze=[layers.0]", "optimizer.groups=[{params: layers.0, lr: 1e-4}]"]
    assert main(["plan", *words, "unfreeze_at=1epochs"]) == 0
    out = capsys.readouterr().out
    assert ["layers.0", "8,320", "0.0001", "0.01", "frozen"] in [line.split() for line in out.splitlines()]
    assert "AdamW in 2 groups, 1 of them frozen, lr=0.0001 to 0.002" in out
    assert main(["plan", *words]) == 2
    assert "optimizer.groups.0 trains nothing: all parameters of layers.0 are frozen" in capsys.readouterr().err
    assert main(["plan", *words[:3], "optimizer.groups=[{params: '*.bias', lr: 1e-4}]"]) == 0  # one of the two trains


@pytest.mark.parametrize(("word", "until"), [("unfreeze_at=1epochs", " until epoch 1"), ("unfreeze_at=null", "")])
def test_muon_without_a_matrix_to_train_is_told(word: str, until: str, capsys: pytest.CaptureFixture[str]) -> None:
    warning = f"Muon has nothing to train{until}: no hidden matrix is left"
    words = ["plan", "epochs=2", "threads=1", "optimizer=muon"]
    assert main([*words, "freeze=[layers.0]", word]) == 0
    assert warning in capsys.readouterr().out
    assert main(words) == 0
    assert "nothing to train" not in capsys.readouterr().out


BAD = {
    "freeze=[nothing]": ("layers.0", "'freeze=[layers.0]'"),
    "freeze=['layers.9*']": ("layers.0", "'freeze=[layers.0]'"),
    "freeze=[layers]": ("freezes all", "'freeze=[layers.0,layers.1,layers.3,layers.4]'"),
    "freeze=[]": ("nothing is frozen", "unfreeze_at=null"),
}


@pytest.mark.parametrize("word", BAD)
def test_a_pattern_that_freezes_nothing_or_all_is_refused(word: str) -> None:
    text, hint = BAD[word]
    with pytest.raises(ConfigError) as caught:
        built(word, "unfreeze_at=1epoch")
    assert text in caught.value.message
    assert caught.value.hint == hint
