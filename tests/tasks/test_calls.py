"""How the model and the loss are called, and what they may return."""

from collections import namedtuple
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from trainer.data import tree
from trainer.errors import ConfigError
from trainer.tasks import calls

A, B = torch.ones(2, 1), torch.zeros(2, 1)


def test_a_tensor_a_tuple_and_a_dict_are_passed_as_they_are_unpacked_and_by_name() -> None:
    def forward(*places: Any, **names: Any) -> Any:
        return places, names

    for x, expected in ((A, ((A,), {})), ((A, B), ((A, B), {})), ({"b": B, "a": A}, ((), {"b": B, "a": A}))):
        assert calls.of_model(forward, x)(x) == expected


@dataclass
class Output:
    logits: Tensor
    states: Any = None
    loss: Tensor | None = None


def test_outputs_that_are_objects_become_dicts_of_their_tensors() -> None:
    pair = namedtuple("pair", "mean scale")
    for output, names in (
        (Output(A, (A, B)), ["logits", "states.0", "states.1"]),
        (pair(A, B), ["mean", "scale"]),
        ({"b": A, "a": [B]}, ["b", "a.0"]),
        ({0: A, 1: (B,)}, ["0", "1.0"]),
    ):
        found = calls.plain(output)
        assert [path for path, _ in tree.named(found)] == names
        assert calls.is_plain(found)
        assert not calls.is_plain(output)
    with pytest.raises(ConfigError, match="returns a str"):
        calls.plain("text")


class After(nn.Module):
    def forward(self, prediction: Tensor, y: Tensor, inputs: Tensor) -> Tensor:
        return inputs.sum()


class ByName(nn.Module):
    def forward(self, prediction: Tensor, y: Tensor, *, inputs: Tensor) -> Tensor:
        return inputs.sum()


class Copied(nn.Module):
    """As many losses are written: the prediction is called `inputs`."""

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        return inputs.sum()


@pytest.mark.parametrize(("kind", "gets"), [(After, True), (ByName, True), (Copied, False), (nn.MSELoss, False)])
def test_a_loss_gets_the_inputs_if_a_parameter_after_the_first_two_is_called_so(kind: Any, gets: bool) -> None:
    loss_fn = kind()
    assert calls.takes_inputs(loss_fn) == gets
    assert float(calls.of_loss(loss_fn, ())(A, A, 5 * A)) == (10 if gets else 0 if kind is nn.MSELoss else 2)


def test_the_sum_of_the_terms_or_the_term_loss_is_minimised_and_the_others_need_no_gradient() -> None:
    weight = torch.tensor(2.0, requires_grad=True)
    for found, value in (({"a": weight, "b": 3 * weight}, 8), ({"a": A.sum(), "loss": weight}, 2)):
        terms = calls.term_names(found, "Mine", "")
        loss_fn: Any = lambda prediction, y, found=found: found  # noqa: E731
        loss_fn.forward = loss_fn
        loss = calls.of_loss(loss_fn, (), terms)(A, A, A)
        assert loss.tolist() == [value, *(found[name].item() for name in terms)]
        weight.grad = None
        loss.backward(calls.first_gradient(terms, loss), retain_graph=True)
        assert weight.grad.item() == (4 if value == 8 else 1)  # by what is minimised, once


def test_a_term_may_be_on_another_device() -> None:
    loss_fn: Any = lambda prediction, y: {"loss": prediction.sum(), "unused": torch.tensor(0.0)}  # noqa: E731
    loss_fn.forward = loss_fn
    x = torch.ones(2, device="meta")
    assert calls.of_loss(loss_fn, (), ("unused",))(x, x, x).shape == (2,)


def test_a_further_argument_of_a_loss_is_the_inputs_or_needs_a_default() -> None:
    class Weighed(nn.Module):
        def forward(self, prediction: Tensor, y: Tensor, mask: Tensor) -> Tensor: ...

    class Both(nn.Module):
        def forward(self, prediction: Tensor, y: Tensor, inputs: Tensor, mask: Tensor) -> Tensor: ...

    assert calls.unknown_argument(After()) is None
    gets = "a loss gets (prediction, target, inputs): "
    assert calls.unknown_argument(Weighed()) == gets + "call the parameter mask inputs, or give mask a default"
    assert calls.unknown_argument(Both()) == gets + "give mask a default"


def test_a_loss_of_one_number_in_a_list_is_one_number() -> None:
    class Listed(nn.Module):
        def forward(self, prediction: Tensor, y: Tensor) -> Tensor:
            return prediction.sum()[None]

    assert calls.of_loss(Listed(), (), is_flat=True)(A, A, A).ndim == 0
