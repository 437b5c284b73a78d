"""Which output a task is about, and which of its axes holds the classes."""

from typing import Any

import pytest
import torch

from trainer.data.facts import Facts, Spec
from trainer.data.meaning import Meaning
from trainer.errors import ConfigError
from trainer.tasks.fit import Fit, find


def facts(task: str, num_classes: int) -> Facts:
    return Facts(Spec((4,)), Meaning(task, "", [str(n) for n in range(num_classes)], num_classes))


def labels(*shape: int) -> torch.Tensor:
    return torch.zeros(shape, dtype=torch.int64)


@pytest.mark.parametrize(
    ("task", "output", "target", "axis"),
    [
        ("classes", (2, 3), (2,), 1),
        ("tokens", (2, 3, 7), (2, 7), 1),
        ("tokens", (2, 7, 3), (2, 7), 2),
        ("pixels", (2, 3, 4, 5), (2, 4, 5), 1),
        ("pixels", (2, 4, 5, 3), (2, 4, 5), 3),
    ],
)
def test_the_axis_is_the_one_that_the_target_lacks(
    task: str, output: tuple[int, ...], target: tuple[int, ...], axis: int
) -> None:
    assert find(facts(task, 3), torch.zeros(output), labels(*target), "Net") == Fit((), axis)


def test_as_many_positions_as_classes_are_told_apart_by_shorter_sequences() -> None:
    both, y = torch.zeros(2, 5, 5), labels(2, 5)
    for shape, axis in (((2, 4, 5), 2), ((2, 5, 4), 1)):
        assert (
            find(facts("tokens", 5), both, y, "Net", None, lambda s=shape: (torch.zeros(s), labels(2, 4))).class_axis
            == axis
        )


def test_what_is_still_open_is_asked_for() -> None:
    both, y = torch.zeros(2, 5, 5), labels(2, 5)
    with pytest.raises(ConfigError, match="more than one axis may hold the classes") as caught:
        find(facts("tokens", 5), both, y, "Net", None, lambda: (both, y))
    assert caught.value.hint == "loss.class_axis=2"
    assert find(facts("tokens", 5), both, y, "Net", 1).class_axis == 1
    assert find(facts("tokens", 5), both, y, "Net", 2).class_axis == 2


@pytest.mark.parametrize(
    ("output", "path"),
    [
        ((torch.zeros(2, 3), torch.zeros(1, 2, 8)), (0,)),
        ({"state": torch.zeros(2, 8), "answer": torch.zeros(2, 3)}, ("answer",)),
        ({"first": torch.zeros(2, 3), "logits": torch.zeros(2, 3)}, ("logits",)),
        ({"inner": (torch.zeros(8), torch.zeros(2, 3))}, ("inner", 1)),
        ((None, torch.zeros(2, 3)), (1,)),
    ],
)
def test_the_output_that_fits_is_found(output: Any, path: tuple[Any, ...]) -> None:
    assert find(facts("classes", 3), output, labels(2), "Net").path == path


def test_other_outputs_that_fit_are_told_unless_a_name_decides() -> None:
    one = torch.zeros(2, 3)
    assert find(facts("classes", 3), {"a": one, "b": one, "c": torch.zeros(2)}, labels(2), "Net").others == (("b",),)
    assert find(facts("classes", 3), {"a": one, "logits": one}, labels(2), "Net").others == ()


def test_outputs_of_which_none_fits_are_refused_with_both_shapes() -> None:
    with pytest.raises(ConfigError, match=r"returns \(\(2, 8\), \(2, 9\)\), of which none fits .*\(batch, 3\)"):
        find(facts("classes", 3), (torch.zeros(2, 8), torch.zeros(2, 9)), labels(2), "Net")
