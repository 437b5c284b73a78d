"""Trees keep their structure, whatever is done to them."""

import numpy as np
import pytest
import torch

from trainer.data import tree

ROW = {
    "z": torch.ones(2),
    "a": (torch.tensor(1), torch.tensor([True])),
    "none": None,
}  # not in the order of the alphabet


def test_a_batch_keeps_the_order_of_dicts_and_the_tuples_of_its_rows() -> None:
    batch = tree.stacked([ROW, {**ROW, "z": torch.zeros(2)}])
    assert list(batch) == ["z", "a", "none"]
    assert isinstance(batch["a"], tuple)  # torch's default_collate makes a list of it
    assert batch["none"] is None
    assert batch["z"].tolist() == [[1, 1], [0, 0]]
    assert [leaf.shape for leaf in tree.leaves(batch)] == [(2, 2), (2,), (2, 1)]
    assert list(tree.mapped(lambda leaf: leaf, batch)) == ["z", "a", "none"]


def test_casting_touches_floats_only() -> None:
    cast = tree.cast(ROW, torch.float64)
    assert [leaf.dtype for leaf in tree.leaves(cast)] == [torch.float64, torch.int64, torch.bool]
    assert tree.cast(torch.arange(3), torch.float64).dtype == torch.int64


def test_leaves_have_paths_and_lists_become_tuples() -> None:
    found = tree.mapped_leaves(torch.as_tensor, {"x": [1, np.float32(2)], "n": None})
    assert isinstance(found["x"], tuple)
    assert [path for path, _ in tree.named(found)] == ["x.0", "x.1"]
    assert tree.described(ROW | {"none": "text"}) == "{z: (2,), a: ((), (1,)), none: str}"


@pytest.mark.parametrize(
    ("one", "path"),
    [({"a": {"b": 1}, "a.b": 2}, "a.b"), ({1: 1, "1": 2}, "1"), ({"a": (1, 2), "b": 3}, None), (torch.ones(1), None)],
)
def test_two_leaves_of_one_path_are_found(one: object, path: str | None) -> None:
    assert tree.repeated(one) == path


def test_structures_are_compared_without_their_leaves() -> None:
    assert tree.structure(ROW) == tree.structure({**ROW, "z": torch.zeros(9)})
    assert tree.structure(ROW) != tree.structure({**ROW, "none": torch.zeros(1)})
    assert tree.structure((1, 2)) != tree.structure((1, 2, 3))
