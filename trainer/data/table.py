"""A table of one's own: read, its columns typed, split, and made into rows for training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.utils.data import Dataset

from trainer.data.facts import Facts
from trainer.data.preprocessing import Preprocessing
from trainer.data.preprocessing import Table as Reading
from trainer.data.tabular import fitting, matrix, roles, targets
from trainer.data.tabular import notes as table_notes
from trainer.data.tabular.column import Kind
from trainer.data.tabular.one_hot import Columns
from trainer.data.tabular.roles import LEFT_OUT, TEST, TRAIN, VAL
from trainer.data.tabular.source import MISSING, Dialect, Source
from trainer.data.tabular.survey import Survey, survey
from trainer.errors import ConfigError


@dataclass
class Part:
    """Rows of one source that have one role. roles: (N,) of every row of the source."""

    source: Source
    roles: Any
    role: int

    @property
    def num_rows(self) -> int:
        """How many rows have the role."""
        return int((self.roles == self.role).sum())


@dataclass
class Prepared:
    """A table ready to be loaded: its parts, the preprocessing fitted on the first of them, and what to tell."""

    train: Part
    val: Part | None
    test: Part | None
    preprocessing: Preprocessing
    class_counts: tuple[int, ...] | None
    notes: list[str] = field(default_factory=list)


class Table(Dataset[tuple[Tensor, Tensor]]):
    """Table files. Keys: conf/dataset/table.yaml; their meaning: schema/targets.py. Reads no more than the header."""

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
        self.others = {
            role: Source(other, self.dialect)
            for role, other in ((VAL, val_path), (TEST, test_path))
            if other is not None
        }
        self.targets = [target] if isinstance(target, str) else list(target)
        self.task, self.types, self.drop = task, dict(types or {}), list(drop)
        self.split, self.split_by = split, split_by
        names, where = self.source.names, str(self.source.files[0])
        matrix.check_present(self.targets, names, where)
        matrix.check_present(self.drop, names, where)
        matrix.of_types(self.types, names, where)
        if split_by is not None:
            matrix.check_present([split_by], names, where)
        if (split in ("time", "column", "group")) != (split_by is not None):
            text = f"dataset.split={split} needs dataset.split_by, the name of a column"
            raise ConfigError(
                text if split_by is None else f"dataset.split_by={split_by} needs dataset.split=time|column|group"
            )
        for other in self.others.values():
            matrix.check_present([name for name in names if name not in self.drop], other.names, str(other.files[0]))

    def prepare(
        self, val_fraction: float, split_seed: int, dtype: torch.dtype, fitted: Preprocessing | None
    ) -> Prepared:
        """Type, split and fit; or take types and numbers from `fitted`. Raises ConfigError."""
        types: dict[str, Any] = dict(self.types)
        if fitted is not None and fitted.table is not None:
            types = {c.name: c.kind for c in fitted.table.columns} | dict.fromkeys(
                self.targets, fitted.table.target_kind
            )
        key = self.split_by or (self.targets[0] if self.split == "stratified" else None)
        found = survey(self.source, self.targets, types, key, infer=fitted is None, drop=self.drop)
        if not found.labelled.any():
            raise ConfigError(f"{self.source.files[0]} has no row with a {self.targets[0]}")
        notes = []
        if unlabelled := int((~found.labelled).sum()):
            notes.append(f"{unlabelled:,} of {found.num_rows:,} rows without {self.targets[0]} are left out")
        parts = self._split(found, val_fraction, split_seed, types, infer=fitted is None)
        if not parts[TRAIN].num_rows:
            raise ConfigError(f"{self.source.files[0]} has no row left to train on")
        if fitted is None:
            made, counts, told = self._fit(found, parts, dtype)
            notes = told + notes
        else:
            made, counts = fitted, None
        return Prepared(parts[TRAIN], parts.get(VAL), parts.get(TEST), made, counts, notes)

    def _split(
        self, found: Survey, val_fraction: float, split_seed: int, types: dict[str, Kind], *, infer: bool
    ) -> dict[int, Part]:
        fraction = 0.0 if VAL in self.others else val_fraction
        if self.split == "random":
            chosen = roles.random_roles(int(found.labelled.sum()), fraction, split_seed)
        else:
            key = _joined(found.key).filter(pa.array(found.labelled))
            chosen = self._split_by(key, found, fraction, split_seed)
        of_rows = np.full(found.num_rows, LEFT_OUT, dtype=np.int8)
        of_rows[found.labelled] = chosen
        parts = {role: Part(self.source, of_rows, role) for role in (TRAIN, VAL, TEST) if (of_rows == role).any()}
        parts.setdefault(TRAIN, Part(self.source, of_rows, TRAIN))
        for role, source in self.others.items():
            other = survey(source, self.targets, types if not infer else found.kinds, None, infer=False)
            found.distinct = (
                None if found.distinct is None or other.distinct is None else found.distinct | other.distinct
            )
            parts[role] = Part(source, np.where(other.labelled, role, LEFT_OUT).astype(np.int8), role)
        return parts

    def _split_by(self, key: Any, found: Survey, val_fraction: float, split_seed: int) -> Any:
        missing, name = self.dialect.missing, self.split_by or ""
        if self.split == "stratified":
            return roles.stratified_roles(matrix.to_text(key, missing), val_fraction, split_seed)
        if self.split == "group":
            return roles.group_roles(matrix.to_text(key, missing), val_fraction, split_seed)
        if self.split == "column":
            return roles.named_roles(matrix.to_text(key, missing), name)
        kind = found.kinds.get(name) or "date"
        if kind == "category":
            raise ConfigError(f"dataset.split=time: column '{name}' holds neither numbers nor dates like 2026-11-25")
        return roles.time_roles(matrix.to_floats(key, kind, missing), val_fraction)

    def _fit(
        self, found: Survey, parts: dict[int, Part], dtype: torch.dtype
    ) -> tuple[Preprocessing, tuple[int, ...] | None, list[str]]:
        classes = targets.classes_of(found, self.targets, self.task)
        left_out = dict.fromkeys(self.drop, "asked for") | dict.fromkeys(found.empty, "no value")
        if self.split == "column" and self.split_by is not None:
            left_out[self.split_by] = "names the split"
        features = {n: k for n, k in found.kinds.items() if n not in left_out and n not in self.targets}
        kinds = {name: found.kinds[name] for name in self.source.names if name in features}
        kinds |= {name: "category" if classes is not None else found.kinds[name] for name in self.targets}
        train = parts[TRAIN]
        seen = fitting.fit(self.source, kinds, self.targets, train.roles == train.role)
        chosen, useless = fitting.choose(seen.features, kinds)
        left_out |= {name: why for name, why in useless.items() if name not in left_out}
        if not chosen:
            raise ConfigError(f"{self.source.files[0]} has no column to learn from: " + table_notes.reasons(left_out))
        y, counts = targets.fit_targets(seen.targets, self.targets, classes, self.source, self.dialect.missing, dtype)
        mean, std = fitting.moments_of(chosen, seen.features)
        x = Columns(chosen, mean, std, dtype)
        facts = Facts((sum(column.width for column in chosen),), classes, len(classes or self.targets))
        dialect = self.dialect
        how = Reading(
            chosen, self.targets, kinds[self.targets[0]], dialect.delimiter, dialect.encoding, list(dialect.missing)
        )
        notes = table_notes.describe(chosen, seen.features, left_out, self.source)
        return Preprocessing(facts, (len(chosen),), x, y, how), counts, notes


def rows_of(part: Part, made: Preprocessing) -> tuple[Tensor, Tensor]:
    """(x, y) of a part: x standardised as OneHot takes it, y labels or float64 numbers, whole in memory."""
    inputs, how = made.of_table()
    needed = [column.name for column in how.columns] + how.targets
    xs, ys, first = [], [], 0
    for batch in part.source.batches(needed):
        chosen = part.roles[first : first + batch.num_rows] == part.role
        first += batch.num_rows
        if chosen.any():
            raw = matrix.encode(batch, how.columns, how.missing, {})
            xs.append(inputs.standardize(torch.from_numpy(raw[chosen])))
            ys.append(targets.targets_of(batch, made)[torch.from_numpy(chosen)])
    return torch.cat(xs), torch.cat(ys)


def _joined(chunks: Sequence[Any]) -> Any:
    return pa.concat_arrays(
        [chunk.combine_chunks() if isinstance(chunk, pa.ChunkedArray) else chunk for chunk in chunks]
    )
