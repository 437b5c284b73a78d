"""What a Dataset holds, before anything of it is fitted: its parts, its fingerprint, lines for the header."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainer.config import given
from trainer.config.schema import Config
from trainer.data import digests, row_ids, seeds, tree
from trainer.data.digests import UNREAD, Digest, Parts
from trainer.data.fingerprint import Fingerprint
from trainer.data.images import Images
from trainer.data.keys import Keys
from trainer.data.partition import RowData, parts_of
from trainer.data.parts import Part, owners, roles_of
from trainer.data.preprocessing import Preprocessing
from trainer.data.roles import NAMES, Roles
from trainer.data.rows import Rows
from trainer.data.tensors import TensorData
from trainer.data.workers import Seeded
from trainer.text import counted

CHECKED = 100  # rows of your own Dataset that are compared


@dataclass
class Inventory:
    """parts: by role, as they are drawn now. preprocessing: of an earlier start, or one that needs no fitting; None is
    still to be fitted. notes: lines for the header. augment: whether the rows that train are augmented. random: a row
    that differs between two reads, such as 'row 3 of Views'; '' if none is known."""

    parts: dict[int, Part[RowData]]
    fingerprint: Fingerprint
    preprocessing: Preprocessing | None
    notes: list[str]
    augment: bool = False
    random: str = ""


def take_inventory(
    dataset: Any,
    node: Mapping[str, Any],
    keys: Keys,
    config: Config,
    dtype: torch.dtype,
    fitted: Preprocessing | None,
) -> Inventory:
    """node, keys: see parts_of; fitted: by an earlier start. Raises ConfigError for data that cannot be used, or that
    is unlike the data of the earlier start."""
    path, pictures, resumed = given.called(config.dataset["_target_"]), isinstance(dataset, Images), fitted is not None
    if pictures:
        fitted = dataset.match(fitted) if fitted is not None else dataset.preprocessing(dtype, keys.ignored)
    parts, notes = parts_of(dataset, path, node, keys)
    roles, data = roles_of(parts), {NAMES[part.role]: part.data for part in owners(parts)}
    if pictures:
        if not resumed:
            dataset.digest_alike(roles)
        brought = dataset.val is not None  # then the folder says itself how it is split
        notes = [*dataset.notes, *(notes if not brought else ())]
        return Inventory(parts, _of_pictures(dataset, roles), fitted, notes, dataset.augment)
    if isinstance(dataset, TensorData):
        return Inventory(parts, _of_tensors(data, roles), fitted, notes)
    name = path.rpartition(".")[2]
    named = {f"{name}.{key}" if key != "train" else name: rows for key, rows in data.items()}
    known, note, random = _of_datasets(named, roles)
    return Inventory(parts, known, fitted, [*notes, note], random=random)


def _of_pictures(pictures: Images, roles: Roles) -> Fingerprint:
    ids = pictures.parts.digests[:, 0].numpy().view(np.uint64)  # the same memory: an id is known once it is read
    return Fingerprint(pictures.parts, ids, roles, "file", lazy=True, read_rest=pictures.digest_rest)


def _of_tensors(data: Mapping[str, Any], roles: Roles) -> Fingerprint:
    named = {
        path + (f"_{key}" if key != "train" else ""): tensor
        for key, part in data.items()
        for label, some in part.trees.items()
        for path, tensor in tree.named(some, label)
    }
    sizes = [tensor.numel() * tensor.element_size() for tensor in named.values()]
    parts = Parts.of(list(named), sizes, [digests.of_tensors(tensor) for tensor in named.values()])
    ids = np.concatenate([row_ids.of_tensors(*part.tensors) for part in data.values()])
    return Fingerprint(parts, ids, roles, "content")


def _of_datasets(datasets: Mapping[str, Any], roles: Roles) -> tuple[Fingerprint, str, str]:
    """(The fingerprint, a line for the header, a row that is random). Each row is read twice, with different random
    numbers; if it differs, it is not compared."""
    entries: list[tuple[str, int, Digest]] = []
    num_checked = 0
    random: list[str] = []
    for name, rows in datasets.items():
        read = Seeded(rows, 0, before_training=True)
        parts_of_row = partial(_tensors, rows)
        places = seeds.permutation(len(rows), seeds.derive(0, "fingerprint"))[:CHECKED].sort().values.tolist()
        structure = str([(str(leaf.dtype), tuple(leaf.shape)) for leaf in parts_of_row(read[0, 0])])
        entries.append((name, len(rows), digests.of_bytes(structure.encode())))
        for place in places:
            first, second = (digests.of_tensors(*parts_of_row(read[epoch, place])) for epoch in (0, 1))
            row = f"row {place:,} of {name}"
            random += [row] if first != second else []
            entries.append((row, 1, first if first == second else UNREAD))
        num_checked += len(places)
    names, sizes, found = zip(*entries, strict=True)
    parts = Parts.of(names, sizes, found, "rows")
    ids = np.concatenate([row_ids.positions(len(rows), salt) for salt, rows in enumerate(datasets.values())])
    share = "" if num_checked == len(ids) else " in part"
    text = f"checked{share}: a resume compares {num_checked:,} of {counted(len(ids), 'row')}, by position"
    if random:
        text = f"not checked: {len(random):,} of {num_checked:,} rows differ when they are read again"
    return Fingerprint(parts, ids, roles, "position"), text, next(iter(random), "")


def _tensors(rows: Rows, row: Any) -> list[Tensor]:
    """The tensors of a row's input and target."""
    pair = row if rows.pads is None else rows.collate([row])
    return [torch.as_tensor(leaf).detach().cpu() for _, leaf in tree.named(pair)]
