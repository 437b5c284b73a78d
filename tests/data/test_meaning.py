"""The task of a data set, by the first rule that fits."""

from typing import Any

import pytest
import torch

from trainer.data.meaning import AUTO, UNKNOWN, decide
from trainer.errors import ConfigError

INT, BOOL = torch.int64, torch.bool


def of(
    shape: tuple[int, ...], dtype: torch.dtype = INT, ones: bool = True, outputs: int | None = None, **how: Any
) -> Any:
    how = {"same": False, "asked": AUTO} | how
    y = torch.zeros(shape, dtype=dtype)
    return decide(torch.zeros(4), y, "Rows[0]", outputs=outputs, zero_and_one=lambda: ones, **how)


@pytest.mark.parametrize(
    ("shape", "how", "task", "num_outputs"),
    [
        ((), {}, "classes", 1),
        ((1,), {"dtype": BOOL}, "classes", 1),
        ((5,), {}, "labels", 5),
        ((5,), {"dtype": BOOL, "outputs": 3}, "tokens", 1),
        ((5,), {"outputs": 5}, "labels", 5),
        ((5,), {"outputs": 3}, "tokens", 1),
        ((5,), {"ones": False}, "tokens", 1),
        ((4, 6), {}, "pixels", 1),
        ((1, 4, 6), {"dtype": BOOL}, "pixels", 1),
        ((3, 4, 6), {}, "free", 1),
        ((2, 3), {"dtype": torch.float64}, "numbers", 6),
        ((2, 3), {"dtype": torch.float64, "same": True}, "input", 6),
        ((1,), {"asked": "numbers"}, "numbers", 1),
        ((3,), {"asked": "tokens"}, "tokens", 1),
        ((3,), {"asked": "labels", "dtype": torch.float32}, "labels", 3),
        ((3,), {"asked": "free"}, "free", 1),
    ],
)
def test_the_first_rule_that_fits_decides(
    shape: tuple[int, ...], how: dict[str, Any], task: str, num_outputs: int
) -> None:
    found = of(shape, **how)
    assert (found.task, found.num_outputs) == (task, num_outputs)


def test_zeros_and_ones_are_tokens_if_the_outputs_say_so() -> None:
    assert of((5,), outputs=UNKNOWN).or_else == "tokens"
    assert of((5,)).or_else == ""


def test_other_trees_and_no_target_are_free() -> None:
    for y in (None, (torch.zeros(2), torch.zeros(2)), {"a": torch.zeros(1)}):
        found = decide(torch.zeros(4), y, "R[0]", same=False, asked=AUTO, outputs=None, zero_and_one=lambda: True)
        assert found.task == "free"


@pytest.mark.parametrize(
    ("shape", "how", "message"),
    [
        ((3,), {"same": True}, "is one tensor of whole numbers"),
        ((3,), {"asked": "words"}, "is not one of classes, numbers"),
        ((3,), {"asked": "classes", "dtype": torch.float32}, "needs whole numbers"),
        ((3,), {"asked": "classes"}, "has the shape (3,)"),
        ((3,), {"dtype": torch.complex64}, "are complex numbers"),
        ((3,), {"dtype": torch.complex64, "asked": "numbers"}, "are complex numbers"),
        ((), {"asked": "pixels"}, "has the shape ()"),
    ],
)
def test_a_task_that_the_targets_cannot_have_is_refused(
    shape: tuple[int, ...], how: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        of(shape, **how)
    assert message in caught.value.message
