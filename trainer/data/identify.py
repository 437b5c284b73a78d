"""Takes the fingerprint of a data set: of tensors as a whole, of your own Dataset in part."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.data import digests, row_ids, seeds
from trainer.data.digests import UNREAD, Digest, Parts
from trainer.data.fingerprint import Fingerprint
from trainer.data.images import Images
from trainer.data.loaders import Seeded
from trainer.data.roles import Roles
from trainer.data.tensors import TensorData

CHECKED = 100  # rows of your own Dataset that are compared


def of_tensors(parts: Mapping[str, TensorData], roles: Roles) -> Fingerprint:
    """The fingerprint of rows in memory. parts: {ending of the names: data}, in the order of `roles`."""
    named = {key + ending: tensor for ending, data in parts.items() for key, tensor in (("x", data.x), ("y", data.y))}
    sizes = [tensor.numel() * tensor.element_size() for tensor in named.values()]
    read = Parts.of(list(named), sizes, [digests.of_tensors(tensor) for tensor in named.values()])
    ids = np.concatenate([row_ids.of_tensors(data.x, data.y) for data in parts.values()])
    return Fingerprint(read, ids, roles, "content")


def of_pictures(pictures: Images, roles: Roles) -> Fingerprint:
    """The fingerprint of a folder of pictures, whose digests are taken as they are decoded."""
    ids = pictures.parts.digests[:, 0].numpy().view(np.uint64)  # the same memory: an id is known once its file is read
    return Fingerprint(pictures.parts, ids, roles, "file", lazy=True)


def of_datasets(datasets: Mapping[str, Any], roles: Roles) -> tuple[Fingerprint, str]:
    """The fingerprint of Datasets that are read row by row, and a line for the header about what it checks.

    datasets: {name: Dataset}, in the order of `roles`. Each row is read twice, with different random numbers; if it
    differs, it is not compared.
    """
    names, sizes, found, ids, num_random = [], [], [], [], 0
    num_checked, num_rows = 0, sum(map(len, datasets.values()))
    for salt, (name, dataset) in enumerate(datasets.items()):
        ids.append(row_ids.positions(len(dataset), salt))
        names.append(name)
        sizes.append(len(dataset))
        found.append(digests.of_bytes(str(_structure(Seeded(dataset, 0)[0, 0])).encode()))
        places = seeds.permutation(len(dataset), seeds.derive(0, "fingerprint"))[:CHECKED].sort().values.tolist()
        for place in places:
            digest = _digest_of_row(Seeded(dataset, 0), place)
            num_random += digest == UNREAD
            names.append(f"row {place:,} of {name}")
            sizes.append(1)
            found.append(digest)
        num_checked += len(places)
    parts = Parts.of(names, sizes, found)
    parts.unit = "rows"
    text = f"checked in part: {num_checked - num_random:,} of {num_rows:,} rows, which are known by their position"
    if num_random:
        text = f"not checked: {num_random:,} of {num_checked:,} rows differ when they are read again"
    return Fingerprint(parts, np.concatenate(ids), roles, "position"), text


def _digest_of_row(rows: Seeded, place: int) -> Digest:
    first, second = (digests.of_bytes(*_content(rows[epoch, place])) for epoch in (0, 1))
    return first if first == second else UNREAD


def _content(value: Any) -> Iterator[Any]:
    """The bytes of all tensors, arrays, numbers and texts in a row."""
    for leaf in _leaves(value):
        if isinstance(leaf, Tensor):
            yield leaf.detach().contiguous().reshape(-1).view(torch.uint8).numpy().data
        else:
            yield leaf.tobytes() if hasattr(leaf, "tobytes") else str(leaf).encode()


def _structure(value: Any) -> list[tuple[str, tuple[int, ...]]]:
    """The type and shape of each leaf of a row."""
    return [
        (str(getattr(leaf, "dtype", type(leaf).__name__)), tuple(getattr(leaf, "shape", ()))) for leaf in _leaves(value)
    ]


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name)
            yield from _leaves(inner)
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value
