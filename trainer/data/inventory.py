"""What a Dataset holds, before anything of it is fitted: its parts, its fingerprint, lines for the header."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from trainer.data import identify
from trainer.data.fingerprint import Fingerprint
from trainer.data.images import Images
from trainer.data.partition import RowData, parts_of
from trainer.data.parts import Part
from trainer.data.preprocessing import Preprocessing


@dataclass
class Inventory:
    """parts: by role, as they are drawn now. preprocessing: of an earlier start, or one that needs no fitting; None is
    still to be fitted. notes: lines for the header. complete: reads all that is otherwise read during the run. augment:
    whether the rows that train are augmented."""

    parts: dict[int, Part[RowData]]
    fingerprint: Fingerprint
    preprocessing: Preprocessing | None
    notes: list[str]
    complete: Callable[[], None] = lambda: None
    augment: bool = False


def take_inventory(
    dataset: Any,
    path: str,
    node: Mapping[str, Any],
    ignore_index: int,
    fitted: Preprocessing | None,
    dtype: torch.dtype,
) -> Inventory:
    """path: of the Dataset's class; node, ignore_index: see parts_of; fitted: by an earlier start. Raises ConfigError
    for data that cannot be used, or is unlike that of the earlier start."""
    if isinstance(dataset, Images):
        fitted = dataset.match(fitted) if fitted is not None else dataset.preprocessing(dtype)
        parts, _ = parts_of(dataset, path, node, ignore_index)  # the folder says itself how it is split
        known, notes = identify.of_pictures(dataset.parts, parts), list(dataset.notes)
        return Inventory(parts, known, fitted, notes, dataset.digest_all, dataset.augment)
    parts, notes = parts_of(dataset, path, node, ignore_index)
    known, checked = identify.of_parts(parts, path.rpartition(".")[2])
    return Inventory(parts, known, fitted, notes + checked)
