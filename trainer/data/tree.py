"""Trees: a tensor, or a tuple or dict of trees. Inputs, targets and predictions of a batch may be any of them.

They are mapped by torch.utils._pytree: it comes with torch, keeps the order of a dict (optree sorts its keys) and is
traced by torch.compile. A plain tensor, as in most runs, does not pass through it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import default_collate

Tree = Any  # Tensor | tuple[Tree, ...] | dict[str, Tree] | None, where there is none


def mapped(change: Callable[[Tensor], Any], tree: Tree) -> Tree:
    """The same tree with change(tensor) for each tensor."""
    return change(tree) if isinstance(tree, Tensor) else pytree.tree_map_only(Tensor, change, tree)


def first(tree: Tree, num_rows: int) -> Tree:
    """The first rows of a batch."""
    return mapped(lambda leaf: leaf[:num_rows], tree)


def num_rows(tree: Tree) -> int:
    """The rows of a batch whose tensors all have them along their first axis."""
    return len(leaves(tree)[0])


def split(tree: Tree, size: int) -> Iterator[Tree]:
    """Yield such a batch in parts of at most `size` rows."""
    for start in range(0, num_rows(tree), size):
        yield mapped(lambda leaf, start=start: leaf[start : start + size], tree)  # type: ignore[misc]


def cycled(tree: Tree, num_rows: int) -> Tree:
    """A batch of num_rows rows: those of the tree, again and again."""
    return mapped(lambda leaf: leaf[torch.arange(num_rows) % len(leaf)] if leaf.ndim else leaf, tree)


def device(tree: Tree) -> torch.device:
    """Where its first tensor is; the CPU where there is none."""
    return next((leaf.device for leaf in leaves(tree)), torch.device("cpu"))


def cast(tree: Tree, dtype: torch.dtype) -> Tree:
    """The same tree with its floats in `dtype`; whole numbers and bools stay as they are."""
    return mapped(lambda leaf: leaf.to(dtype) if leaf.is_floating_point() else leaf, tree)


def mapped_leaves(change: Callable[[Any], Any], tree: Any) -> Tree:
    """The same tree with change(leaf) for each leaf, whatever it is; lists become tuples."""
    if isinstance(tree, Mapping):
        return {key: mapped_leaves(change, inner) for key, inner in tree.items()}
    if isinstance(tree, (tuple, list)):
        return tuple(mapped_leaves(change, inner) for inner in tree)
    return None if tree is None else change(tree)


def leaves(tree: Tree) -> list[Tensor]:
    """The tensors of a tree, in order."""
    if isinstance(tree, Tensor):
        return [tree]
    return [leaf for leaf in pytree.tree_leaves(tree) if isinstance(leaf, Tensor)]


def named(tree: Tree, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path, leaf) of a tree, such as ('image', …) or ('views.0', …); the path of a plain tensor is its name."""
    if isinstance(tree, Mapping):
        for key, inner in tree.items():
            yield from named(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(tree, (tuple, list)):
        for place, inner in enumerate(tree):
            yield from named(inner, f"{name}.{place}" if name else str(place))
    elif tree is not None:
        yield name, tree


def repeated(tree: Tree) -> str | None:
    """A path that two leaves of a tree have; None where each has its own."""
    paths = [path for path, _ in named(tree)]
    return next((path for place, path in enumerate(paths) if path in paths[:place]), None)


def structure(tree: Tree) -> Any:
    """The tree without its leaves, to compare: equal for trees of one structure."""
    if isinstance(tree, Mapping):
        return {key: structure(inner) for key, inner in tree.items()}
    return tuple(map(structure, tree)) if isinstance(tree, (tuple, list)) else tree is None


def stacked(trees: Sequence[Tree]) -> Tree:
    """A batch of rows of one structure and one shape. Tuples stay tuples, and dicts keep their order."""
    first = trees[0]
    if isinstance(first, Mapping):
        return {key: stacked([tree[key] for tree in trees]) for key in first}
    if isinstance(first, (tuple, list)):
        return tuple(map(stacked, zip(*trees, strict=True)))
    if first is None:
        return None
    batch: Tensor = default_collate(list(trees))
    return batch


def described(tree: Tree) -> str:
    """The shapes of a tree of tensors, for messages: (2, 3), or {image: (2, 3), mask: (2,)}."""
    if isinstance(tree, Mapping):
        return "{" + ", ".join(f"{key}: {described(inner)}" for key, inner in tree.items()) + "}"
    if isinstance(tree, (tuple, list)):
        return "(" + ", ".join(map(described, tree)) + ")"
    return str(tuple(tree.shape)) if isinstance(tree, Tensor) else type(tree).__name__
