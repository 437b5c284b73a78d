"""Your own table: read, its columns typed, split, and made into rows for training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.data import Dataset

from trainer.data.facts import Facts
from trainer.data.preprocessing import Preprocessing, TableFormat
from trainer.data.roles import LEFT_OUT, TEST, TRAIN, VAL
from trainer.data.scaling import TargetScaling
from trainer.data.tabular import fitting, matrix, notes, roles
from trainer.data.tabular.column import Kind
from trainer.data.tabular.one_hot import Columns
from trainer.data.tabular.source import MISSING, Dialect, Source, masked
from trainer.data.tabular.survey import Survey, take_survey
from trainer.data.tabular.targets import classes_of, fit_targets, targets_of
from trainer.errors import ConfigError


@dataclass
class Part:
    """The rows of a source that have one role. roles: (N,) int8, of all rows of the source."""

    source: Source
    roles: Any
    role: int

    @property
    def num_rows(self) -> int:
        """The number of rows with the role."""
        return int((self.roles == self.role).sum())


@dataclass
class Prepared:
    """A table ready to be loaded. preprocessing: fitted on `train`; notes: lines for the header."""

    train: Part
    val: Part | None
    test: Part | None
    preprocessing: Preprocessing
    class_counts: tuple[int, ...] | None
    notes: list[str]


class Table(Dataset[tuple[Tensor, Tensor]]):
    """Table files. The constructor reads their headers only.

    Keys: conf/dataset/table.yaml; their meaning: config/options/dataset.py.
    """

    def __init__(
        self,
        path: str | Sequence[str],
        target: str | Sequence[str],
        task: str = "auto",
        types: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
        split: str = "random",
        split_by: str | None = None,
        val_path: str | Sequence[str] | None = None,
        test_path: str | Sequence[str] | None = None,
        delimiter: str = "auto",
        encoding: str = "utf-8",
        missing: Sequence[str] = MISSING,
    ) -> None:
        self.dialect = Dialect(delimiter, encoding, tuple(missing))
        self.source = Source(path, self.dialect)
        paths = {VAL: val_path, TEST: test_path}
        self.others = {role: Source(other, self.dialect) for role, other in paths.items() if other is not None}
        self.targets = [target] if isinstance(target, str) else list(target)
        self.task, self.types, self.drop = task, dict(types or {}), list(drop)
        self.split, self.split_by = split, split_by
        names, file = self.source.names, str(self.source.files[0])
        matrix.check_present([*self.targets, *self.drop, *([split_by] if split_by is not None else [])], names, file)
        matrix.check_types(self.types, names, file)
        needs_column = split in ("time", "column", "group")
        if needs_column and split_by is None:
            raise ConfigError(f"dataset.split={split} needs dataset.split_by, the name of a column")
        if split_by is not None and not needs_column:
            raise ConfigError(f"dataset.split_by={split_by} needs dataset.split=time|column|group")
        for other in self.others.values():
            matrix.check_present([name for name in names if name not in self.drop], other.names, str(other.files[0]))

    def prepare(
        self,
        val_fraction: float,
        split_seed: int,
        dtype: torch.dtype,
        fitted: Preprocessing | None,
        scaling: TargetScaling | None = None,
    ) -> Prepared:
        """Type the columns, split the rows and fit the preprocessing, or use `fitted`. Raises ConfigError."""
        types: dict[str, Any] = dict(self.types)
        if fitted is not None and fitted.table is not None:
            types = {column.name: column.kind for column in fitted.table.columns}
            types |= dict.fromkeys(self.targets, fitted.table.target_kind)
        key = self.split_by or (self.targets[0] if self.split == "stratified" else None)
        survey = take_survey(self.source, self.targets, types, key, infer=fitted is None, drop=self.drop)
        if not survey.labelled.any():
            raise ConfigError(f"{self.source.files[0]} has no row with a {self.targets[0]}")
        parts = self._parts(survey, val_fraction, split_seed, survey.kinds if fitted is None else types)
        if not parts[TRAIN].num_rows:
            raise ConfigError(f"{self.source.files[0]} has no row left to train on")
        preprocessing, counts, lines = (
            self._fit(survey, parts[TRAIN], dtype, scaling or TargetScaling()) if fitted is None else (fitted, None, [])
        )
        if unlabelled := int((~survey.labelled).sum()):
            lines.append(f"{unlabelled:,} of {survey.num_rows:,} rows without {self.targets[0]} are left out")
        return Prepared(parts[TRAIN], parts.get(VAL), parts.get(TEST), preprocessing, counts, lines)

    def _parts(self, survey: Survey, val_fraction: float, split_seed: int, kinds: dict[str, Kind]) -> dict[int, Part]:
        all_roles = np.full(survey.num_rows, LEFT_OUT, dtype=np.int8)
        all_roles[survey.labelled] = self._roles(survey, 0.0 if VAL in self.others else val_fraction, split_seed)
        parts = {role: Part(self.source, all_roles, role) for role in (VAL, TEST) if (all_roles == role).any()}
        parts[TRAIN] = Part(self.source, all_roles, TRAIN)
        for role, source in self.others.items():
            other = take_survey(source, self.targets, kinds, None, infer=False)
            both = survey.distinct is not None and other.distinct is not None
            survey.distinct = survey.distinct | other.distinct if both else None  # type: ignore[operator]
            parts[role] = Part(source, np.where(other.labelled, role, LEFT_OUT).astype(np.int8), role)
        return parts

    def _roles(self, survey: Survey, val_fraction: float, split_seed: int) -> Any:
        """The roles of the labelled rows."""
        if self.split == "random":
            return roles.random_roles(int(survey.labelled.sum()), val_fraction, split_seed)
        missing, name = self.dialect.missing, self.split_by or ""
        chunks = [values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values for values in survey.key]
        key = pa.concat_arrays(chunks).filter(pa.array(survey.labelled))
        if self.split == "time":
            kind = survey.kinds.get(name) or "date"
            if kind == "category":
                raise ConfigError(
                    f"dataset.split=time: column '{name}' holds neither numbers nor dates like 2026-11-25"
                )
            return roles.time_roles(matrix.to_floats(key, kind, missing), val_fraction)
        values = matrix.to_text(key, missing)
        if self.split == "column":
            return roles.named_roles(values, name)
        draw = roles.stratified_roles if self.split == "stratified" else roles.group_roles
        return draw(values, val_fraction, split_seed)

    def _fit(
        self, survey: Survey, train: Part, dtype: torch.dtype, scaling: TargetScaling
    ) -> tuple[Preprocessing, tuple[int, ...] | None, list[str]]:
        classes = classes_of(survey, self.targets, self.task)
        left_out = dict.fromkeys(self.drop, "asked for") | dict.fromkeys(survey.empty, "no value")
        if self.split == "column" and self.split_by is not None:
            left_out[self.split_by] = "names the split"
        names = [name for name in self.source.names if name in survey.kinds and name not in left_out]
        kinds = {name: survey.kinds[name] for name in names if name not in self.targets}
        kinds |= {name: "category" if classes is not None else survey.kinds[name] for name in self.targets}
        tallies = fitting.fit(self.source, kinds, train.roles == train.role)
        target_tallies = [tallies.pop(name) for name in self.targets]
        columns, useless = fitting.choose(tallies, kinds)
        left_out |= useless
        if not columns:
            raise ConfigError(f"{self.source.files[0]} has no column to learn from: {notes.reasons(left_out, 60)}")
        way, line = scaling.choose(self.targets[0], len(self.targets), ready=False)
        y, counts = fit_targets(target_tallies, self.targets, classes, self.source, dtype, way)
        x = Columns(columns, *fitting.mean_and_std(tallies[column.name] for column in columns), dtype)
        facts = Facts((sum(column.width for column in columns),), classes, len(classes or self.targets))
        kind, dialect = kinds[self.targets[0]], self.dialect
        table = TableFormat(columns, self.targets, kind, dialect.delimiter, dialect.encoding, list(dialect.missing))
        lines = notes.describe(columns, tallies, left_out, self.source) + [line] * (classes is None)
        return Preprocessing(facts, (len(columns),), x, y, table), counts, lines


def rows_of(part: Part, preprocessing: Preprocessing) -> tuple[Tensor, Tensor]:
    """All rows of a part: x standardised as OneHot needs it, y labels int64 or numbers float64."""
    inputs, table = preprocessing.of_table()
    names, xs, ys = [column.name for column in table.columns] + table.targets, [], []
    for batch, mask in masked(part.source.batches(names), part.roles == part.role):
        raw = torch.from_numpy(matrix.encode(batch, table.columns, table.missing, {}))
        rows = torch.from_numpy(mask)
        xs.append(inputs.standardize(raw[rows]))
        ys.append(targets_of(batch, preprocessing)[rows])
    return torch.cat(xs), torch.cat(ys)
