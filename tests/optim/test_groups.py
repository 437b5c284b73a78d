"""Groups of parameters: by pattern and by layer, one optimizer or several, exact on resume."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import config
from torch import Tensor, nn

from trainer import checkpoint
from trainer.build.build import build
from trainer.config import trust
from trainer.errors import ConfigError
from trainer.events import Stepped
from trainer.loop import train
from trainer.optim import groups, patterns
from trainer.optim.layers import layers
from trainer.optim.optimizers import make_optimizer
from trainer.optim.several import Several

RUN = ("dataset=iris", "loader.batch_size=10", "model.hidden=[8,8]", "epochs=2", "dtype=float64")  # 24 steps
ADAMW = {"_target_": "torch.optim.AdamW", "lr": 0.01, "weight_decay": 0.1}
SGD = {"_target_": "torch.optim.SGD", "lr": 0.1, "momentum": 0.9}
LION = "trainer.optim.lion.Lion"
CPU = torch.device("cpu")


class Net(nn.Module):
    """Three named layers with a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(5, 6), nn.LayerNorm(6), nn.ReLU(), nn.Linear(6, 6))
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.head(self.backbone(x))
        return output


def net() -> Net:
    torch.manual_seed(0)
    return Net().double()


def members(optimizer: torch.optim.Optimizer, model: nn.Module) -> list[tuple[list[str], float, float]]:
    """(names, lr, weight_decay) of each of torch's groups."""
    names = {id(p): name for name, p in model.named_parameters()}
    return [([names[id(p)] for p in g["params"]], g["lr"], g["weight_decay"]) for g in optimizer.param_groups]


def moved(model: nn.Module, optimizer: Any, steps: int = 4) -> list[Tensor]:
    x = torch.linspace(-1, 1, 20, dtype=torch.float64).reshape(4, 5)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(x).square().mean() + model(x).sum()).backward()
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def test_the_first_match_wins_and_the_rest_keeps_the_optimizers_numbers() -> None:
    model = net()
    entries = [{"params": "*.bias", "weight_decay": 0.3}, {"params": "backbone", "lr": 0.001}]
    optimizer = make_optimizer({**ADAMW, "groups": entries}, {"": model}, CPU)
    assert members(optimizer, model) == [
        (["head.weight"], 0.01, 0.1),
        (["backbone.0.bias", "backbone.1.bias", "backbone.3.bias", "head.bias"], 0.01, 0.3),  # as typed, for biases too
        (["backbone.0.weight", "backbone.3.weight"], 0.001, 0.1),
        (["backbone.1.weight"], 0.001, 0.0),
    ]
    names = [(row.name, row.num_parameters, row.optimizer) for row in groups.rows(optimizer)]
    assert names[2:] == [("backbone", 66, "AdamW"), ("backbone", 6, "AdamW")]


def test_two_optimizers_move_as_torchs_two_do() -> None:
    """One object with one state, also after its state was loaded into another."""
    model, twin = net(), net()
    node = {**ADAMW, "groups": [{"params": "backbone", "optimizer": SGD, "lr": 0.05}]}
    ours = make_optimizer(node, {"": model}, CPU)
    theirs = (
        torch.optim.SGD(twin.backbone.parameters(), lr=0.05, momentum=0.9, fused=True),
        torch.optim.AdamW(
            [{"params": [twin.head.weight]}, {"params": [twin.head.bias], "weight_decay": 0.0}],
            lr=0.01,
            weight_decay=0.1,
            fused=True,
        ),
    )

    class Both:
        def zero_grad(self) -> None:
            for optimizer in theirs:
                optimizer.zero_grad()

        def step(self) -> None:
            for optimizer in theirs:
                optimizer.step()

    assert isinstance(ours, Several)
    for a, b in zip(moved(model, ours), moved(twin, Both()), strict=True):
        assert torch.equal(a, b)

    other = net()
    other.load_state_dict(model.state_dict())
    again = make_optimizer(node, {"": other}, CPU)
    again.load_state_dict(copy.deepcopy(ours.state_dict()))
    for a, b in zip(moved(model, ours), moved(other, again), strict=True):
        assert torch.equal(a, b)
    assert len(again.state) == len(list(other.parameters()))


def test_rates_fall_from_the_head_to_the_input() -> None:
    model = net()
    assert [(name, len(own)) for name, own in layers(model)] == [("backbone.0", 4), ("backbone.3", 2), ("head", 2)]
    entries = [{"params": "backbone.0", "lr": 0.1}]
    optimizer = make_optimizer({**ADAMW, "groups": entries, "layer_decay": 0.5}, {"": model}, CPU)
    rates = {name: lr for names, lr, _ in members(optimizer, model) for name in names}
    assert rates["head.weight"] == rates["head.bias"] == 0.01
    assert rates["backbone.3.weight"] == 0.005
    assert (
        rates["backbone.0.weight"] == rates["backbone.1.weight"] * 10 == 0.025 or rates["backbone.1.weight"] == 0.0025
    )


def test_a_wrapped_transformer_opens_into_its_blocks() -> None:
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    model = nn.Module()
    model.token = nn.Parameter(torch.zeros(1, 1, 8))
    model.embed, model.encoder, model.head = nn.Linear(4, 8), nn.TransformerEncoder(block, 4), nn.Linear(8, 3)
    found = layers(model)
    assert [name for name, _ in found] == ["embed", *(f"encoder.layers.{n}" for n in range(4)), "head"]
    assert found[0][1][0] == "token"
    assert sum(len(own) for _, own in found) == len(list(model.parameters()))


MUON_AND = "{params: layers.0, optimizer: muon}"
CASES = {
    "groups": ["optimizer.groups=[{params: layers.0, lr: 0.05},{params: '*.bias', weight_decay: 0.5}]"],
    "several": ["optimizer.groups=[{params: layers.0, optimizer: sgd, momentum: 0.9}]", "clip_grad_norm=0.1"],
    "layer_decay": ["optimizer.layer_decay=0.5", "scheduler=warmup"],
    "muon": ["optimizer=muon", "scheduler=onecycle"],
    "lion": ["optimizer=lion", "scheduler=cosine"],
    "mixed": [
        "optimizer=nadam",
        "optimizer.groups=[{params: layers.0, optimizer: muon},{params: layers.2, optimizer: lion}]",
    ],
    "adafactor": ["optimizer=adafactor", "optimizer.groups=[{params: '*.bias', optimizer: radam}]"],
}


@pytest.mark.parametrize("name", CASES)
def test_a_resume_is_exact(name: str, tmp_path: Path) -> None:
    words = (*RUN, *CASES[name])
    whole, _ = build(config(*words))
    kept = {}
    for event in train(whole):
        if isinstance(event, Stepped) and event.step == 13:
            kept = checkpoint.contents(whole, {})
    resumed, _ = build(config(*words))
    checkpoint.load(resumed, kept, tmp_path)
    assert resumed.progress.step == 13
    assert len(list(train(resumed)))
    assert checkpoint.contents(resumed, {}) == checkpoint.contents(whole, {})


def losses(words: Sequence[str]) -> list[float]:
    run, _ = build(config(*RUN, *words))
    return [event.loss.item() for event in train(run) if isinstance(event, Stepped)]


def test_without_groups_the_bits_are_those_of_one_group() -> None:
    """All parameters in one typed group, with the optimizer's own numbers."""
    assert losses([]) == losses(["optimizer.groups=[{params: layers}]"]) == losses(["optimizer.layer_decay=1"])


def test_a_scaler_that_skips_a_step_is_obeyed_by_every_part() -> None:
    model = net()
    entries = [{"params": "backbone", "optimizer": SGD}, {"params": "head.weight", "optimizer": {"_target_": LION}}]
    optimizer = make_optimizer({**ADAMW, "groups": entries}, {"": model}, CPU)
    scaler, counts = torch.amp.GradScaler("cpu"), []
    for factor in (1.0, float("inf"), 1.0):
        before = [p.detach().clone() for p in model.parameters()]
        optimizer.zero_grad()
        scaler.scale(model(torch.ones(2, 5, dtype=torch.float64)).sum() * factor).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
        counts.append(sum(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)))
    assert counts == [8, 0, 8]


def test_strangers_in_a_stored_group_are_named() -> None:
    def stored(*targets: str) -> list[str]:
        entries = [{"params": "layers", "optimizer": {"_target_": name}} for name in targets]
        return trust.strangers({"optimizer": {**ADAMW, "groups": entries}})

    assert stored("torch.optim.SGD", LION, groups.MUON) == []
    assert stored("torch.optim.SGD", "os.system") == ["optimizer.groups.1.optimizer._target_=os.system"]
    assert stored("trainer.optim.several.Several")
    assert stored("trainer.optim.muon.partial")


def test_parameters_of_a_loss_and_frozen_ones() -> None:
    """A loss's own come last, under loss:; a group of frozen parameters has nothing to update yet."""
    model, loss_fn = net(), nn.Linear(2, 2).double()
    model.backbone.requires_grad_(False)
    entries = [{"params": "loss", "lr": 0.5}, {"params": "backbone", "lr": 0.1}]
    node = {**ADAMW, "groups": entries, "layer_decay": 0.5}
    optimizer = make_optimizer(node, {"": model, "loss:": loss_fn}, CPU)
    rates = {id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]}
    assert rates == {
        id(model.head.weight): (0.01, 0.1), id(model.head.bias): (0.01, 0.0),
        id(loss_fn.weight): (0.5, 0.1), id(loss_fn.bias): (0.5, 0.0),
    }  # fmt: skip


class Grouped(torch.optim.SGD):
    """Has parameters with the names of our keys."""

    def __init__(self, params: Any, lr: float = 0.1, groups: Any = 2, layer_decay: Any = "slow") -> None:
        super().__init__(params, lr)
        self.given = (groups, layer_decay)


def test_a_class_of_your_own_keeps_its_parameters_of_our_names() -> None:
    for words, given in (
        ([], (2, "slow")), (["optimizer.groups=3", "optimizer.layer_decay=7"], (3, 7)),
        (["optimizer.groups=[{params: nothing}]"], ([{"params": "nothing"}], "slow")),
    ):  # fmt: skip
        run, setup = build(config(*RUN, "optimizer._target_=test_groups.Grouped", *words))
        assert run.optimizer.given == given  # type: ignore[attr-defined]
        assert setup.groups == []


REFUSED = [
    (["optimizer._target_=torch.optim.ASGD", "optimizer.groups=3"], "optimizer.groups must be a list"),
    (["optimizer._target_=torch.optim.ASGD", "optimizer.layer_decay=3"], "optimizer.layer_decay must be at most 1"),
    (["optimizer.groups=[{params: layer, lr: 0.1}]"], "no parameter has a name like layer; there are layers.0"),
    (["optimizer.groups=[{params: '*.kernel', lr: 0.1}]"], "no parameter has a name like *.kernel"),
    (["optimizer.groups=[{params: layers, lr: 0.1},{params: '*.bias'}]"], "optimizer.groups.1 gets no parameter"),
    (["optimizer.groups=[{params: layers, lr: -1}]"], "optimizer.groups.0.lr must be above 0"),
    (["optimizer.groups=[{params: layers, momentum: 0.9}]"], "no key 'optimizer.groups.0.momentum'"),
    (["optimizer.groups=[{params: layers, optimizer: sdg}]"], "no optimizer 'sdg'"),
    (["optimizer.groups=[{params: layers, optimizer: {_target_: torch.optim.LBFGS}}]"], "calls a closure"),
    (["optimizer.groups=[{lr: 0.1}]"], "optimizer.groups.0 has no params"),
    (["optimizer.groups=[{params: []}]"], "optimizer.groups.0 has params=[]"),
    (["optimizer.groups=[layers]"], "optimizer.groups.0 is not a mapping"),
    (["optimizer.groups=layers"], "optimizer.groups must be a list"),
    (["optimizer.groups={params: layers.0, lr: 0.1}"], "optimizer.groups must be a list"),
    (["optimizer.groups={a: 1}"], "optimizer.groups must be a list"),
    (["optimizer.groups.0.lr=0.1"], "optimizer.groups has no entry 0"),
    (["optimizer.groups=[{params: layers}]", "optimizer.groups.1.lr=0.1"], "optimizer.groups has no entry 1"),
    (["optimizer.groups=[{params: layers}]", "optimizer.groups.0.lr=0.1"], "no key 'optimizer.groups.0.lr'"),
    (["optimizer.layer_decay=1.2"], "optimizer.layer_decay must be at most 1"),
    (["optimizer.layer_decay=0"], "optimizer.layer_decay must be above 0"),
    (["optimizer=muon", "model=linear"], "Muon updates hidden matrices, and Linear has none"),
    (["optimizer.groups=[{params: '*.bias', optimizer: muon}]"], "Muon updates hidden matrices, and *.bias has none"),
    (["optimizer=muon", "optimizer.adamw=[head]"], "no parameter has a name like head"),
    (
        ["optimizer=muon", "scheduler=onecycle", "scheduler.cycle_momentum=true", "model.hidden=[8,8]"],
        "not all parameters have a momentum under Muon and AdamW",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), REFUSED)
def test_what_does_not_fit_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(config("dataset=iris", *words))
    assert message in error.value.message
    assert error.value.hint or "layer_decay" in message


def test_a_pattern_is_a_glob_or_a_module_with_all_below_it() -> None:
    names = ["net.0.weight", "net.0.bias", "net.01.weight", "net.1.bias", "loss:scale"]
    assert patterns.matching("net.0", names) == ["net.0.weight", "net.0.bias"]
    assert patterns.matching("*.bias", names) == ["net.0.bias", "net.1.bias"]
    assert patterns.matching("net.0.weight", names) == ["net.0.weight"]
    assert patterns.matching("loss", names) == ["loss:scale"]
    assert patterns.matching("weight", names) == []
