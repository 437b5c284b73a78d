"""The short step of an optimizer gives torch's bits, and torch's own step runs where anything is unusual."""

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from trainer.optim import shortcuts

KINDS: dict[str, Callable[..., Optimizer]] = {
    "adam": lambda p: Adam(p, fused=True),
    "adam, L2 penalty": lambda p: Adam(p, weight_decay=0.1, fused=True),
    "adamw": lambda p: AdamW(p, weight_decay=0.1, fused=True),
    "adamw, amsgrad": lambda p: AdamW(p, lr=0.1, amsgrad=True, maximize=True, fused=True),
    "sgd": lambda p: SGD(p, lr=0.1, fused=True),
    "sgd, momentum": lambda p: SGD(p, lr=0.1, momentum=0.9, dampening=0.1, weight_decay=0.1, fused=True),
    "sgd, nesterov": lambda p: SGD(p, lr=0.1, momentum=0.9, nesterov=True, maximize=True, fused=True),
}


class Branching(nn.Module):
    """Two layers, one of them not used in every step: their optimizer states have different ages."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(5, 5), nn.Linear(5, 5)

    def forward(self, x: torch.Tensor, both: bool) -> torch.Tensor:
        return self.second(torch.relu(self.first(x))) if both else self.first(x)


def groups(model: nn.Module) -> list[dict[str, Any]]:
    matrices, vectors = ([p for p in model.parameters() if p.ndim == n] for n in (2, 1))
    return [{"params": matrices}, {"params": vectors, "weight_decay": 0.0, "lr": 0.05}]


def move(model: nn.Module, optimizer: Optimizer, steps: range, branching: bool = True) -> None:
    for step in steps:
        optimizer.zero_grad()
        x = torch.full((3, 5), 0.1 * (step + 1))
        model(x, both=not branching or step not in (0, 3)).square().mean().backward()
        optimizer.param_groups[0]["lr"] *= 0.9  # as a schedule does
        optimizer.step()


def counted(optimizer: Optimizer) -> list[str]:
    """Shorten an optimizer. Returns a list of the calls of torch's own methods, which grows."""
    called: list[str] = []

    def count(method: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        called.append(method.__name__)
        return method(*args, **kwargs)

    for name in ("step", "zero_grad"):
        setattr(optimizer, name, partial(count, getattr(optimizer, name)))
    shortcuts.shorten(optimizer)
    return called


@pytest.mark.parametrize("name", KINDS)
def test_the_short_way_gives_the_same_bits(name: str) -> None:
    torch.manual_seed(0)
    model = Branching()
    twin = copy.deepcopy(model)
    short, long = KINDS[name](groups(model)), KINDS[name](groups(twin))
    called = counted(short)
    branching = "momentum" not in short.defaults or not short.defaults["momentum"]  # torch's fused SGD fails there
    for net, optimizer in ((model, short), (twin, long)):
        move(net, optimizer, range(6), branching)
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        move(net, optimizer, range(6, 9), branching)
    # Torch makes the state: in the first step, and where two parameters meet their first gradient in the second.
    assert called == ["step"] * (0 if name == "sgd" else 2 if branching else 1)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))
    kept, wanted = short.state_dict(), long.state_dict()
    assert kept["param_groups"] == wanted["param_groups"]
    for entry, other in zip(kept["state"].values(), wanted["state"].values(), strict=True):
        assert entry.keys() == other.keys()
        assert all(torch.equal(entry[key], other[key]) for key in entry if entry[key] is not None)


@pytest.mark.parametrize("name", KINDS)
def test_a_group_may_be_without_gradients(name: str) -> None:
    used, unused = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(3))
    optimizer = KINDS[name]([{"params": [used]}, {"params": [unused]}])
    shortcuts.shorten(optimizer)
    for _ in range(3):
        optimizer.zero_grad()
        used.square().sum().backward()
        optimizer.step()
    assert not torch.equal(used, torch.ones(3))
    assert torch.equal(unused, torch.ones(3))


def test_hooks_profilers_and_closures_get_torchs_step() -> None:
    model = Branching()
    optimizer = Adam(model.parameters(), fused=True)
    called = counted(optimizer)
    move(model, optimizer, range(1, 3))
    assert called == ["step"]

    seen: list[str] = []
    handle = optimizer.register_step_pre_hook(lambda *_: seen.append("before"))
    move(model, optimizer, range(4, 6))
    handle.remove()
    assert (called, seen) == (["step"] * 3, ["before"] * 2)
    handle = register_optimizer_step_post_hook(lambda *_: seen.append("after"))
    move(model, optimizer, range(6, 7))
    handle.remove()
    assert (called, seen) == (["step"] * 4, ["before"] * 2 + ["after"])

    with torch.profiler.profile(acc_events=True) as profile:
        move(model, optimizer, range(7, 8))
    names = {event.key for event in profile.key_averages()}
    assert {"Optimizer.step#Adam.step", "Optimizer.zero_grad#Adam.zero_grad"} <= names

    called.clear()
    optimizer.zero_grad(set_to_none=False)
    assert [bool(p.grad.any()) for p in model.parameters()] == [False] * 4
    optimizer.step(lambda: seen.append("closure") or 1.0)
    assert (called, seen[-1]) == (["zero_grad", "step"], "closure")


@pytest.mark.parametrize("name", KINDS)
def test_a_rate_may_be_a_tensor(name: str) -> None:
    """As a CUDA graph needs it: the same bits as torch's own step with it, and as with a number of its value."""
    found = []
    for is_short, rate in ((True, torch.tensor(0.25)), (False, torch.tensor(0.25)), (False, 0.25)):
        torch.manual_seed(0)
        model = Branching()
        optimizer = KINDS[name](model.parameters())
        for group in optimizer.param_groups:
            group["lr"] = rate
        if is_short:
            shortcuts.shorten(optimizer)
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.ones(3, 5), both=True).square().mean().backward()
            optimizer.step()
        found.append([p.detach() for p in model.parameters()])
    assert all(torch.equal(a, b) and torch.equal(a, c) for a, b, c in zip(*found, strict=True))


def test_a_scaler_that_skips_a_step_is_obeyed() -> None:
    model = Branching()
    optimizer = AdamW(model.parameters(), fused=True)
    shortcuts.shorten(optimizer)
    scaler = torch.amp.GradScaler("cpu")
    for factor in (1.0, 1.0, float("inf")):
        before = [p.detach().clone() for p in model.parameters()]
        optimizer.zero_grad()
        scaler.scale(model(torch.ones(2, 5), both=True).sum() * factor).backward()
        scaler.step(optimizer)
        scaler.update()
        moved = [not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)]
    assert moved == [False] * 4
    assert [entry["step"].item() for entry in optimizer.state.values()] == [2.0] * 4


def test_what_has_no_kernel_of_one_kind_keeps_torchs_step() -> None:
    mixed = [nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2, dtype=torch.float64))]
    derived = type("Derived", (AdamW,), {})(mixed[:1], fused=True)
    for optimizer in (torch.optim.Adagrad(mixed[:1]), Adam(mixed[:1]), SGD(mixed, lr=0.1, fused=True), derived):
        shortcuts.shorten(optimizer)
        assert "step" not in vars(optimizer)
        assert "zero_grad" in vars(optimizer)

    strange = type("Strange", (Adam,), {"zero_grad": lambda self, set_to_none=True: None})(mixed[:1])
    shortcuts.shorten(strange)
    assert not {"step", "zero_grad"} & set(vars(strange))


def test_sparse_gradients_are_still_refused() -> None:
    table = nn.Embedding(5, 2, sparse=True)
    optimizer = SGD(table.parameters(), lr=0.1, fused=True)
    shortcuts.shorten(optimizer)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match="sparse"):
        optimizer.step()


def test_one_switch_takes_torchs_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = [nn.Parameter(torch.zeros(2))]
    for value, is_short in (("1", True), ("0", False)):
        monkeypatch.setenv("TRAINER_SHORTCUTS", value)
        optimizer = AdamW(parameters, fused=True)
        shortcuts.strip(optimizer)
        shortcuts.shorten(optimizer)
        assert ("step" in vars(optimizer), "zero_grad" in vars(optimizer)) == (is_short, is_short)
