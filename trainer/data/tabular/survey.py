"""The first pass over a table: how many rows, what kind each column is, which rows have a target."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainer.data.tabular import matrix
from trainer.data.tabular.column import Kind
from trainer.data.tabular.source import Batch, Source
from trainer.errors import ConfigError

NEARLY = 0.9  # share of numbers from which a text among them is an error, not a category
MOST_CLASSES = 1000
FEW = 20  # distinct whole numbers up to which they are classes


@dataclass
class Tally:
    """What stands in a column of text, counted. like: values that look like each kind; odd: the first batch that
    holds a value of another."""

    values: int = 0
    like: dict[Kind, int] = field(default_factory=lambda: {"number": 0, "date": 0})
    odd: dict[Kind, Batch] = field(default_factory=dict)

    def add(self, batch: Batch, name: str, missing: Sequence[str]) -> None:
        """Count a batch."""
        text = matrix.text_of(batch.columns[name], missing)
        count = len(text) - text.null_count
        self.values += count
        for kind, pattern in matrix.LOOKS.items():
            try:
                matrix.to_floats(text, kind, missing)
                self.like[kind] += count
            except pa.ArrowInvalid:
                self.odd.setdefault(kind, batch)
                self.like[kind] += pc.sum(pc.match_substring_regex(text, pattern)).as_py() or 0

    def kind(self, name: str, missing: Sequence[str]) -> Kind:
        """The column's kind. Raises ConfigError where nearly all values are numbers, or dates, and some are not."""
        for kind in self.like:
            if kind not in self.odd:
                return kind
        for kind, count in self.like.items():
            if count >= NEARLY * self.values:
                error = matrix.refusal(self.odd[kind], name, kind, missing)
                text = f"{error.message}, and {count:,} others are {kind}s"
                raise ConfigError(text, f"'dataset.types={{{name}: category}}', or that text in dataset.missing")
        return "category"


@dataclass
class Survey:
    """What the pass found. labelled: (N,) bool; key: values of the column that the split looks at, batch by batch."""

    num_rows: int = 0
    kinds: dict[str, Kind] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    labelled: Any = None
    key: list[Any] = field(default_factory=list)
    distinct: set[Any] | None = field(default_factory=set)  # target values; None where there are too many
    integral: bool = True


def survey(
    source: Source,
    targets: Sequence[str],
    types: dict[str, Kind],
    key: str | None,
    *,
    infer: bool = True,
    drop: Sequence[str] = (),
) -> Survey:
    """Read all rows once; of Parquet, the targets and the key alone. infer: without, kinds are those of `types`;
    drop: columns that nobody needs to understand.

    Raises ConfigError for what cannot be read, and for a column that is neither numbers nor text.
    """
    missing, found = source.dialect.missing, Survey()
    tallies: dict[str, Tally] = {}
    if source.text:
        tallies = {name: Tally() for name in source.names if infer and name not in types and name not in drop}
        found.kinds = dict(types)
    else:
        fields = [field for field in source.schema if field.name in types or (infer and field.name not in drop)]
        found.kinds = {field.name: types.get(field.name) or matrix.schema_kind(field) for field in fields}
    wanted = list(dict.fromkeys([*targets, *([key] if key else [])]))
    labelled = []
    for batch in source.batches(None if source.text else wanted):
        found.num_rows += batch.num_rows
        for name, tally in tallies.items():
            tally.add(batch, name, missing)
        labelled.append(np.logical_and.reduce([_present(batch.columns[name], missing) for name in targets]))
        _add_distinct(found, batch.columns[targets[0]], missing)
        if key is not None:
            found.key.append(batch.columns[key])
    found.labelled = np.concatenate(labelled) if labelled else np.zeros(0, dtype=bool)
    found.empty = [name for name, tally in tallies.items() if not tally.values]
    found.kinds |= {name: tally.kind(name, missing) for name, tally in tallies.items()}
    return found


def _present(values: Any, missing: Sequence[str]) -> Any:
    text = matrix.text_of(values, missing) if pa.types.is_string(values.type) else values
    null = np.asarray(pc.is_null(text, nan_is_null=True).to_numpy(zero_copy_only=False))
    return ~null


def _add_distinct(found: Survey, values: Any, missing: Sequence[str]) -> None:
    if pa.types.is_string(values.type):
        values = matrix.text_of(values, missing)
    if found.distinct is not None:
        found.distinct |= {value for value in pc.unique(values).to_pylist() if value is not None and value == value}
        if len(found.distinct) > MOST_CLASSES:
            found.distinct = None
