"""The first pass over a table: the number of rows, the kind of each column, the rows that have a target."""

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

NEARLY = 0.9  # share of numbers in a column above which a text is an error, and not a category
MOST_CLASSES = 1000
FEW = 20  # distinct whole numbers up to which a target has classes


@dataclass
class Tally:
    """Counts of a column of text. like: values that look like each kind; odd: the first batch with a value that is
    not of the kind."""

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
        """The column's kind. Raises ConfigError if nearly all values are numbers, or dates, and some are not."""
        for kind in self.like:
            if kind not in self.odd:
                return kind
        for kind, count in self.like.items():
            if count >= NEARLY * self.values:
                error = matrix.refusal(self.odd[kind], name, kind, missing)
                text = f"{error.message}, but {count:,} others are {kind}s"
                raise ConfigError(text, f"'dataset.types={{{name}: category}}', or that text in dataset.missing")
        return "category"


@dataclass
class Survey:
    """Results of the pass. labelled: (N,) bool, rows with a target; key: the column to split by, in batches."""

    num_rows: int = 0
    kinds: dict[str, Kind] = field(default_factory=dict)
    empty: list[str] = field(default_factory=list)
    labelled: Any = None
    key: list[Any] = field(default_factory=list)
    distinct: set[Any] | None = field(default_factory=set)  # values of the first target; None if there are too many


def take_survey(
    source: Source,
    targets: Sequence[str],
    types: dict[str, Kind],
    key: str | None,
    *,
    infer: bool = True,
    drop: Sequence[str] = (),
) -> Survey:
    """Read all rows once; of Parquet, the targets and the key alone.

    types: the kinds of columns that are known; infer: infer the kinds of the others, except for those in `drop`.
    Raises ConfigError for what cannot be read, and for a column without a clear kind.
    """
    missing, survey = source.dialect.missing, Survey()
    tallies: dict[str, Tally] = {}
    if source.text:
        tallies = {name: Tally() for name in source.names if infer and name not in types and name not in drop}
        survey.kinds = dict(types)
    else:
        fields = [field for field in source.schema if field.name in types or (infer and field.name not in drop)]
        survey.kinds = {field.name: types.get(field.name) or matrix.schema_kind(field) for field in fields}
    wanted = list(dict.fromkeys([*targets, key] if key else targets))
    labelled = []
    for batch in source.batches(None if source.text else wanted):
        survey.num_rows += batch.num_rows
        for name, tally in tallies.items():
            tally.add(batch, name, missing)
        columns = [batch.columns[name] for name in targets]
        columns = [matrix.text_of(v, missing) if pa.types.is_string(v.type) else v for v in columns]
        nulls = [pc.is_null(values, nan_is_null=True).to_numpy(zero_copy_only=False) for values in columns]
        labelled.append(~np.logical_or.reduce(nulls))
        if survey.distinct is not None:
            survey.distinct |= {value for value in pc.unique(columns[0]).to_pylist() if value == value} - {None}
            survey.distinct = survey.distinct if len(survey.distinct) <= MOST_CLASSES else None
        if key is not None:
            survey.key.append(batch.columns[key])
    survey.labelled = np.concatenate(labelled) if labelled else np.zeros(0, dtype=bool)
    survey.empty = [name for name, tally in tallies.items() if not tally.values]
    survey.kinds |= {name: tally.kind(name, missing) for name, tally in tallies.items()}
    return survey
