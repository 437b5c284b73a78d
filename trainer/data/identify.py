"""Takes the fingerprint of a data set: of tensors and pictures as a whole, of your own Dataset in part."""

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
from trainer.data.partition import Part, owners, roles_of
from trainer.data.roles import Roles
from trainer.data.rows import Rows
from trainer.data.tensors import TensorData
from trainer.text import counted

CHECKED = 100  # rows of your own Dataset that are compared


def of_parts(parts: Mapping[str, Part], pictures: Images | None, name: str) -> tuple[Fingerprint, list[str]]:
    """(The fingerprint of the data behind some parts, lines for the header). name: of the data."""
    roles, data = roles_of(parts), owners(parts)
    if pictures is not None:
        ids = pictures.parts.digests[:, 0].numpy().view(np.uint64)  # the same memory: an id is known once it is read
        return Fingerprint(pictures.parts, ids, roles, "file", lazy=True), []
    if isinstance(parts["train"].data, TensorData):
        return _of_tensors(data, roles), []
    named: dict[str, Any] = {f"{name}.{key}" if key != "train" else name: rows for key, rows in data.items()}
    known, note = _of_datasets(named, roles)
    return known, [note]


def _of_tensors(data: Mapping[str, Any], roles: Roles) -> Fingerprint:
    named = {
        label + (f"_{key}" if key != "train" else ""): tensor
        for key, part in data.items()
        for label, tensor in (("x", part.x), ("y", part.y))
    }
    sizes = [tensor.numel() * tensor.element_size() for tensor in named.values()]
    parts = Parts.of(list(named), sizes, [digests.of_tensors(tensor) for tensor in named.values()])
    ids = np.concatenate([row_ids.of_tensors(part.x, part.y) for part in data.values()])
    return Fingerprint(parts, ids, roles, "content")


def _of_datasets(datasets: Mapping[str, Rows], roles: Roles) -> tuple[Fingerprint, str]:
    """Each row is read twice, with different random numbers; if it differs, it is not compared."""
    entries: list[tuple[str, int, Digest]] = []
    num_checked = num_random = 0
    for name, rows in datasets.items():
        read = Seeded(rows, 0, before_training=True)
        places = seeds.permutation(len(rows), seeds.derive(0, "fingerprint"))[:CHECKED].sort().values.tolist()
        structure = str([(str(leaf.dtype), tuple(leaf.shape)) for leaf in _tensors(read[0, 0])])
        entries.append((name, len(rows), digests.of_bytes(structure.encode())))
        for place in places:
            first, second = (digests.of_tensors(*_tensors(read[epoch, place])) for epoch in (0, 1))
            num_random += first != second
            entries.append((f"row {place:,} of {name}", 1, first if first == second else UNREAD))
        num_checked += len(places)
    names, sizes, found = zip(*entries, strict=True)
    parts = Parts.of(names, sizes, found, "rows")
    ids = np.concatenate([row_ids.positions(len(rows), salt) for salt, rows in enumerate(datasets.values())])
    share = "" if num_checked == len(ids) else " in part"
    text = f"checked{share}: a resume compares {num_checked:,} of {counted(len(ids), 'row')}, by position"
    if num_random:
        text = f"not checked: {num_random:,} of {num_checked:,} rows differ when they are read again"
    return Fingerprint(parts, ids, roles, "position"), text


def _tensors(row: Sequence[Any]) -> Iterator[Tensor]:
    """The input and the target of a row."""
    return (torch.as_tensor(part).detach().cpu() for part in row)
