"""A table of one's own: read, its columns typed, split, and made into rows for training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor
from torch.utils.data import Dataset

from trainer.data import fitting, matrix, roles
from trainer.data.column import MOST_LEVELS, Column, Kind
from trainer.data.fitting import Levels, Moments
from trainer.data.inputs import Columns
from trainer.data.roles import LEFT_OUT, TEST, TRAIN, VAL
from trainer.data.scaling import Cast, Standardize
from trainer.data.source import MISSING, Batch, Dialect, Source
from trainer.data.survey import FEW, MOST_CLASSES, Survey, survey
from trainer.errors import ConfigError
from trainer.preprocessing import Preprocessing
from trainer.preprocessing import Table as Reading
from trainer.sizes import Facts


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
        kind = found.kinds[self.targets[0]]
        classes = self._classes(found, kind)
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
            raise ConfigError(f"{self.source.files[0]} has no column to learn from: " + _reasons(left_out))
        y, counts = self._targets(seen.targets, classes, parts, dtype)
        mean, std = fitting.moments_of(chosen, seen.features)
        x = Columns(chosen, mean, std, dtype)
        facts = Facts((sum(column.width for column in chosen),), classes, len(classes or self.targets))
        dialect = self.dialect
        how = Reading(
            chosen, self.targets, kinds[self.targets[0]], dialect.delimiter, dialect.encoding, list(dialect.missing)
        )
        notes = describe(chosen, seen.features, left_out, self.source)
        return Preprocessing(facts, (len(chosen),), x, y, how), counts, notes

    def _classes(self, found: Survey, kind: Kind) -> list[str] | None:
        """Names of the classes, in order; None for numbers. Raises ConfigError where it can be neither."""
        name, distinct = self.targets[0], found.distinct
        numbers = kind == "number"
        if len(self.targets) > 1 and self.task == "classes":
            raise ConfigError("several targets are numbers, one each", "dataset.task=numbers")
        if self.task == "numbers" or len(self.targets) > 1:
            if wrong := [n for n in self.targets if found.kinds[n] == "category"]:
                raise ConfigError(
                    f"dataset.task=numbers, and {wrong[0]} holds text",
                    f"'dataset.types={{{wrong[0]}: number}}' says where",
                )
            return None
        if numbers and self.task == "auto":
            few = distinct is not None and len(distinct) <= max(2, min(FEW, int(found.labelled.sum()) // 5))
            if not (few and kind == "number" and all(_is_whole(value) for value in distinct or ())):
                return None
        if distinct is None:
            raise ConfigError(
                f"{name} has more than {MOST_CLASSES:,} different values: no classes", "dataset.task=numbers"
            )
        names = {_class_name(value) for value in distinct}
        if not numbers and len(names) > max(20, int(found.labelled.sum()) // 2):
            raise ConfigError(
                f"{name} holds {len(names):,} different texts: neither numbers nor classes", "dataset.target=COLUMN"
            )
        if len(names) < 2:
            raise ConfigError(
                f"{name} is always {next(iter(names))}: there is nothing to learn", "dataset.target=COLUMN"
            )
        return sorted(names, key=lambda text: (0, float(text), "") if numbers else (1, 0.0, text))

    def _targets(
        self, seen: dict[str, Moments | Levels], classes: list[str] | None, parts: dict[int, Part], dtype: torch.dtype
    ) -> tuple[Standardize | Cast | None, tuple[int, ...] | None]:
        first = seen[self.targets[0]]
        if classes is not None and isinstance(first, Levels):
            counted = {_class_name(name): count for name, count in first.counts.items()}
            counts = tuple(counted.get(name, 0) for name in classes)
            if 0 in counts:
                absent = classes[counts.index(0)]
                text = f"class '{absent}' of {self.targets[0]} has no row to train on, only others"
                raise ConfigError(text, "dataset.split=stratified")
            return None, counts
        numbers = [tally for tally in seen.values() if isinstance(tally, Moments)]
        for name, tally in zip(self.targets, numbers, strict=True):
            if tally.infinite:
                raise _infinite(self.source, name, self.dialect.missing)
            if tally.squares == 0:
                raise ConfigError(
                    f"{name} is always {tally.mean:g}: there is nothing to learn", "dataset.target=COLUMN"
                )
        mean, std = ([getattr(tally, which) for tally in numbers] for which in ("mean", "std"))
        return Standardize(torch.tensor(mean, dtype=dtype), torch.tensor(std, dtype=dtype)), None


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
            ys.append(targets_of(batch, made)[torch.from_numpy(chosen)])
    return torch.cat(xs), torch.cat(ys)


def targets_of(batch: Batch, made: Preprocessing) -> Tensor:
    """Labels (B,) int64, -1 where there is none; or numbers (B, outputs) float64. Raises ConfigError."""
    (_, table), classes = made.of_table(), made.facts.classes
    if classes is None:
        values = []
        for name in table.targets:
            try:
                values.append(matrix.to_floats(batch.columns[name], table.target_kind, table.missing))  # type: ignore[arg-type]
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise matrix.refusal(batch, name, "number", table.missing) from error
            if np.isinf(values[-1]).any():
                row = int(np.flatnonzero(np.isinf(values[-1]))[0])
                raise ConfigError(f"{batch.where(row)}: {name} is infinite")
        return torch.from_numpy(np.stack(values, 1))
    text = matrix.to_text(batch.columns[table.targets[0]], table.missing)
    codes = pc.index_in(class_text(text), value_set=pa.array(classes, pa.string()))
    strange = np.asarray(pc.and_(pc.is_null(codes), pc.is_valid(text)))
    if strange.any():
        row = int(np.flatnonzero(strange)[0])
        name, value = table.targets[0], text[row].as_py()
        raise ConfigError(f"{batch.where(row)}: {name} '{value}' is none of the classes {', '.join(classes[:6])}")
    return torch.from_numpy(np.asarray(codes.fill_null(-1)).astype(np.int64))


def class_text(text: Any) -> Any:
    """Texts as names of classes: 1.0 is 1."""
    unique = pc.unique(text)
    names = pa.array([None if value is None else _class_name(value) for value in unique.to_pylist()], pa.string())
    return names.take(pc.index_in(text, value_set=unique))


def _class_name(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    return f"{number:.15g}" if number == number else str(value)


def _is_whole(value: Any) -> bool:
    return float(value).is_integer()


def _joined(chunks: Sequence[Any]) -> Any:
    return pa.concat_arrays(
        [chunk.combine_chunks() if isinstance(chunk, pa.ChunkedArray) else chunk for chunk in chunks]
    )


def _infinite(source: Source, name: str, missing: Sequence[str]) -> ConfigError:
    for batch in source.batches([name]):
        rows = np.flatnonzero(np.isinf(matrix.to_floats(batch.columns[name], "number", missing)))
        if len(rows):
            return ConfigError(f"{batch.where(int(rows[0]))}: {name} is infinite")
    return ConfigError(f"{name} is infinite somewhere")


def _reasons(left_out: Mapping[str, str]) -> str:
    return cut([f"{name} ({why})" for name, why in left_out.items()], 60)


def cut(words: Sequence[str], width: int) -> str:
    """Words with commas, as many as fit, and how many more there are."""
    line = ""
    for number, word in enumerate(words):
        more = f", and {len(words) - number} more" if number < len(words) - 1 else ""
        if line and len(line) + 2 + len(word) + len(more) > width:
            return f"{line}, and {len(words) - number} more"
        line += (", " if line else "") + word
    return line if len(line) <= width else line[: width - 1] + "…"


def describe(
    chosen: Sequence[Column], features: Mapping[str, Moments | Levels], left_out: Mapping[str, str], source: Source
) -> list[str]:
    """What the header says of the columns: types, categories, what is missing, what was done about it."""
    lines = []
    for kind, plural in (("number", "numbers"), ("date", "dates"), ("category", "categories")):
        names = [column.name for column in chosen if column.kind == kind]
        if names:
            count = f"{len(names)} {plural if len(names) > 1 else kind}: "
            lines.append(count + cut(names, 69 - len(count)))
    rare = [f"{c.name} ({len(features[c.name].counts):,})" for c in chosen if c.other]  # type: ignore[union-attr]
    if rare:
        lines.append(f"other than the {MOST_LEVELS} most frequent: " + cut(rare, 35))
    missing = {c.name: features[c.name].missing for c in chosen if features[c.name].missing}
    if missing:
        lines.append("missing, imputed and marked: " + cut([f"{n} {count:,}" for n, count in missing.items()], 40))
    endless = {
        name: tally.infinite for name, tally in features.items() if isinstance(tally, Moments) and tally.infinite
    }
    if endless:
        lines.append("infinite, taken as missing: " + cut([f"{n} {count:,}" for n, count in endless.items()], 41))
    if left_out:
        lines.append("left out: " + cut([f"{name} ({why})" for name, why in left_out.items()], 59))
    if source.text and source.delimiter != ",":
        lines.append(
            "values are separated by " + {"\t": "tabs", ";": "semicolons"}.get(source.delimiter, source.delimiter)
        )
    return lines
