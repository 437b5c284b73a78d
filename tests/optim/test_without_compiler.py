"""Optimizers without the compiler's wrappers give torch's results, and leave torch unchanged."""

import copy

import pytest
import torch
from torch import nn
from torch.optim import Optimizer

from trainer.optim import shortcuts

KINDS = {
    name: kind
    for name, kind in vars(torch.optim).items()
    if isinstance(kind, type) and issubclass(kind, Optimizer) and kind not in (Optimizer, torch.optim.SparseAdam)
}


def move(optimizer: Optimizer, model: nn.Module, closure: bool) -> None:
    x = torch.linspace(-1, 1, 12, dtype=torch.float64).reshape(4, 3)

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = model(x).square().mean()
        value.backward()
        return value

    for _ in range(5):
        if closure:
            optimizer.step(loss)
        else:
            loss()
            optimizer.step()


@pytest.mark.parametrize("name", KINDS)
def test_a_stripped_optimizer_gives_the_same_bits(name: str) -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2, bias=name != "Muon", dtype=torch.float64)  # Muon takes matrices alone
    twin, first = copy.deepcopy(model), model.weight.detach().clone()
    with shortcuts.without_compiler():
        stripped = KINDS[name](model.parameters(), lr=0.1)
    shortcuts.strip(stripped)
    plain = KINDS[name](twin.parameters(), lr=0.1)
    called = []
    stripped.register_step_pre_hook(lambda *_: called.append("before"))
    stripped.register_step_post_hook(lambda *_: called.append("after"))
    for optimizer, net in ((stripped, model), (plain, twin)):
        move(optimizer, net, name == "LBFGS")
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        move(optimizer, net, name == "LBFGS")
    assert called == ["before", "after"] * 10
    assert torch.equal(model.weight, twin.weight)
    assert not torch.equal(model.weight, first)


def test_torch_is_left_as_it_was() -> None:
    """Optimizers made elsewhere, and those of unknown classes, still keep the compiler out."""

    def kept_out() -> list[object]:
        return [getattr(method.__wrapped__, shortcuts.KEPT_OUT, None) for method in disabled]

    disabled = [method for method in vars(Optimizer).values() if shortcuts.undisabled(method)]
    assert len(disabled) >= 4
    before = kept_out()
    with shortcuts.without_compiler():
        assert None not in kept_out()
        stripped = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    assert kept_out() == before
    shortcuts.strip(stripped)
    other = torch.optim.SGD([torch.zeros(1, requires_grad=True)])
    assert {"step", "zero_grad"} <= set(vars(stripped)) - set(vars(other))
    kind = type("Strange", (Optimizer,), {"step": lambda self, closure=None: None})
    strange = kind([torch.zeros(1, requires_grad=True)], {"differentiable": False})
    shortcuts.strip(strange)
    assert "step" not in vars(strange)
