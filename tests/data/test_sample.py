"""Which parts of a sample are its input and its target."""

from typing import Any

import numpy as np
import pytest
import torch

from trainer.data import sample
from trainer.data.sample import AUTO
from trainer.errors import ConfigError

A, B, C = torch.tensor(1.0), torch.tensor(2.0), torch.tensor(3)
DICT = {"image": A, "size": B, "name": "x", "label": C}

PICKED: list[tuple[Any, Any, Any, Any, Any]] = [
    ((A, C), AUTO, AUTO, A, C),
    ([A, C], AUTO, AUTO, A, C),
    (A, AUTO, AUTO, A, A),
    ((A,), AUTO, AUTO, A, A),
    (torch.tensor([1.0, 2.0]), AUTO, AUTO, torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0])),  # never a pair
    ((A, B, C), [0, 1], 2, (A, B), C),
    ((A, B, C), [0, 1], AUTO, (A, B), C),  # what is left
    ((A, B, C), AUTO, 2, (A, B), C),
    ((A, C), AUTO, 0, C, A),
    ((A, B), [0, 1], None, (A, B), None),  # two views
    (DICT, AUTO, AUTO, {"image": A, "size": B}, C),
    (DICT, "image", AUTO, A, C),
    (DICT, ["size", "image"], AUTO, {"size": B, "image": A}, C),
    (DICT, {"x": "image"}, "size", {"x": A}, B),
    (DICT, AUTO, "size", {"image": A, "label": C}, B),
    (DICT, AUTO, None, {"image": A, "size": B, "label": C}, None),
    (DICT, ["label", "image"], AUTO, {"label": C, "image": A}, None),  # picked as an input, so no target is left
    ({"a": A, "b": B}, AUTO, AUTO, {"a": A, "b": B}, None),
    ({"ids": np.arange(3), "labels": [1, 2, 3]}, AUTO, AUTO, {"ids": np.arange(3)}, [1, 2, 3]),
]


def same(one: Any, other: Any) -> bool:
    if isinstance(other, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in other)
    if isinstance(other, tuple):
        return isinstance(one, tuple) and len(one) == len(other) and all(map(same, one, other))
    return one is other or bool(np.array_equal(np.asarray(one), np.asarray(other)))


@pytest.mark.parametrize(("found", "inputs", "target", "x", "y"), PICKED)
def test_input_and_target_are_picked(found: Any, inputs: Any, target: Any, x: Any, y: Any) -> None:
    picked = sample.choose(found, "Rows[0]", inputs, target)(found)
    assert same(picked[0], x)
    assert (picked[1] is None) if y is None else same(picked[1], y)


REFUSED: list[tuple[Any, Any, Any, str, str | None]] = [
    ((A, B, C), AUTO, AUTO, "has 3 parts", "'dataset.inputs=[0,1]' dataset.target=2"),
    ((A, B, C), 0, AUTO, "does not pick", "dataset.target=2"),
    ({"label": C, "labels": C, "x": A}, AUTO, AUTO, "each of which may be the target", "dataset.target=labels"),
    (DICT, "picture", AUTO, "asks for 'picture', but Rows[0] has the keys", "dataset.inputs=image"),
    (DICT, AUTO, "tag", "asks for 'tag'", "dataset.target=label"),
    ((torch.zeros(2),) * 3, AUTO, AUTO, "has 3 parts", "'dataset.inputs=[0,1,2]' dataset.target=null"),
    ((A, C), [0, 5], AUTO, "asks for 5", "'dataset.inputs=[0]'"),
    (DICT, ["imgae"], AUTO, "asks for 'imgae'", "'dataset.inputs=[image]'"),
    (DICT, {"x": "imgae"}, AUTO, "asks for 'imgae'", "'dataset.inputs={x: image}'"),
    ({"name": "x", "label": C}, AUTO, AUTO, "no number or tensor", None),
    (A, "image", AUTO, "is one value", "dataset.inputs=auto"),
]


@pytest.mark.parametrize(("found", "inputs", "target", "message", "hint"), REFUSED)
def test_what_leaves_it_open_is_refused(found: Any, inputs: Any, target: Any, message: str, hint: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        sample.choose(found, "Rows[0]", inputs, target)
    assert message in caught.value.message
    assert hint is None or caught.value.hint == hint
