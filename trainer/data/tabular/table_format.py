"""How a table is read, as a run stores it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from trainer.data.tabular.column import KINDS, Column
from trainer.data.tabular.dialect import WORDS, Dialect
from trainer.disk import typed


@dataclass
class TableFormat:
    """How a table is read. columns: the inputs, in order; targets: the names of the columns to predict, and
    target_kind their kind, which for classes says whether their names are whole numbers."""

    columns: list[Column]
    targets: list[str]
    target_kind: str
    dialect: Dialect

    @property
    def names(self) -> list[str]:
        """The names of all columns that are used."""
        return [column.name for column in self.columns] + self.targets


def as_data(table: TableFormat) -> dict[str, Any]:
    """The table without the ids of its rare categories, which are tensors."""
    columns = [{name: value for name, value in asdict(column).items() if name != "rare"} for column in table.columns]
    named = {"columns": columns, "targets": table.targets, "target_kind": table.target_kind}
    return named | asdict(table.dialect)


def rebuilt(data: Any, rare: Mapping[str, Tensor]) -> TableFormat:
    """Rebuild a table. Version 0.1.0 stored neither the notation of numbers and dates nor the ranges of columns."""
    entries = typed.as_type(data["columns"], list)
    columns = [_column(entry, rare.get(str(place))) for place, entry in enumerate(entries)]
    names = {column.name for column in columns}
    if not columns or len(names) != len(columns) or not all(0 <= int(place) < len(columns) for place in rare):
        raise ValueError("there are no columns, or two have the same name, or a rare category has none")
    targets, kind = typed.texts(data["targets"]), data["target_kind"]
    if not targets or kind not in KINDS or names.intersection(targets):
        raise ValueError("there are no targets, or one is an input too, or their kind is unknown")
    texts = {
        key: typed.as_type(data[key], str)
        for key in ("delimiter", "encoding", *WORDS)
        if key not in WORDS or key in data
    }
    return TableFormat(columns, targets, kind, Dialect(missing=tuple(typed.texts(data["missing"])), **texts))


def _column(entry: Any, rare: Tensor | None) -> Column:
    name, kind, levels = typed.as_type(entry["name"], str), entry["kind"], tuple(typed.texts(entry["levels"]))
    other, missing = typed.as_type(entry["other"], bool), typed.as_type(entry["missing"], bool)
    if kind not in KINDS or (kind != "category" and (levels or other)) or len(set(levels)) != len(levels):
        raise ValueError(f"column {name!r} is not valid")
    low, high = (None if entry.get(key) is None else typed.as_type(entry[key], float) for key in ("low", "high"))
    if rare is not None and (rare.dtype != torch.int64 or rare.ndim != 1):
        raise ValueError(f"the rare categories of column {name!r} are not valid")
    return Column(name, kind, levels, other, missing, low, high, frozenset(rare.tolist() if rare is not None else ()))
