"""Your own table: read, its columns typed, split, and made into rows for training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from trainer.config import given
from trainer.data import split_note
from trainer.data.facts import Facts, Spec
from trainer.data.labels import IGNORED
from trainer.data.meaning import Meaning
from trainer.data.parts import Part
from trainer.data.preprocessing import Preprocessing
from trainer.data.roles import NAMES, ROLES, TEST, TRAIN, VAL
from trainer.data.splitting import Splitting
from trainer.data.tabular import fitting, matrix, notes, typed
from trainer.data.tabular.dialect import MISSING, Dialect
from trainer.data.tabular.frame import FrameSource
from trainer.data.tabular.one_hot import Columns
from trainer.data.tabular.partition import check_column, check_share, key, parts_of
from trainer.data.tabular.source import Source
from trainer.data.tabular.survey import Survey, take_survey
from trainer.data.tabular.table_format import TableFormat
from trainer.data.tabular.targets import classes_of, fit_targets
from trainer.data.target_scaling import TargetScaling
from trainer.errors import ConfigError
from trainer.text import listed


@dataclass
class Prepared:
    """A table ready to be loaded. parts: by role; preprocessing: fitted on those to train on; notes: lines for the
    header; warnings: for the header, each in paragraphs; groups: int64, of each row of the source that is split by
    groups."""

    parts: dict[int, Part[Source]]
    preprocessing: Preprocessing
    notes: list[str]
    warnings: list[list[str]]
    groups: np.ndarray[Any, Any] | None = None


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
        split: str = "auto",
        split_by: str | None = None,
        val_path: str | Sequence[str] | None = None,
        test_path: str | Sequence[str] | None = None,
        delimiter: str = "auto",
        encoding: str = "utf-8",
        missing: Sequence[str] = MISSING,
        decimal: str = "point",
        thousands: str = "none",
        dates: str = "iso",
    ) -> None:
        dialect = Dialect(delimiter, encoding, tuple(missing), decimal, thousands, dates)
        paths = {VAL: val_path, TEST: test_path}
        sources = {role: Source(other, dialect) for role, other in paths.items() if other is not None}
        self._open(Source(path, dialect), sources, target, task, types, drop, Splitting(split, split_by))

    def _open(
        self,
        source: Source,
        others: Mapping[int, Source],
        target: str | Sequence[str],
        task: str,
        types: Mapping[str, str] | None,
        drop: Sequence[str],
        splitting: Splitting,
    ) -> None:
        """others: the rows that validate and that test, by role, if they are no part of the source."""
        self.source, self.others, self.dialect, self.splitting = source, others, source.dialect, splitting
        self.targets = [target] if isinstance(target, str) else list(target)
        self.task, self.types, self.drop = task, dict(types or {}), list(drop)
        check_column(self.splitting)
        names, file = self.source.names, str(self.source.files[0])
        by = [splitting.by] if splitting.by is not None else []
        matrix.check_present([*self.targets, *self.drop, *by], names, file)
        matrix.check_types(self.types, names, file)
        if len(set(self.targets)) < len(self.targets):
            raise ConfigError(f"dataset.target names a column twice: {', '.join(self.targets)}")
        if dropped := [name for name in self.targets if name in self.drop]:
            raise ConfigError(f"dataset.drop names the target {dropped[0]}", "dataset.target=COLUMN")
        self.index = [name for name in self.source.index if name not in {*self.targets, *self.types}]
        for other in self.others.values():
            needed = [name for name in names if name not in self.drop and name not in self.index]
            matrix.check_present(needed, other.names, str(other.files[0]))

    def prepare(
        self,
        node: Mapping[str, Any],
        dtype: torch.dtype,
        fitted: Preprocessing | None,
        scaling: TargetScaling | None = None,
        ignored: int = IGNORED,
    ) -> Prepared:
        """Type the columns, split the rows and fit the preprocessing, or use `fitted`. node: the keys that say how rows
        are held back; ignored: the class index that does not count. Raises ConfigError."""
        how = self.splitting.typed(node)
        replace(how, split="auto").check_brought([NAMES[role] for role in self.others], str(self.source.files[0]))
        types: dict[str, Any] = dict(self.types)
        infer = [name for name in self.source.names if name not in self.drop and name not in self.index]
        if fitted is not None and fitted.table is not None:
            for source in (self.source, *self.others.values()):
                matrix.check_present(fitted.table.names, source.names, str(source.files[0]))
            types |= {column.name: column.kind for column in fitted.table.columns}
            types |= dict.fromkeys(self.targets, fitted.table.target_kind)
            infer = []
        infer += [how.by] if how.split == "time" and how.by is not None and how.by not in infer else []
        survey = take_survey(self.source, self.targets, types, key(how, self.targets), infer)
        if not survey.labelled.any():
            raise ConfigError(f"{self.source.files[0]} has no row with a {self.targets[0]}")
        if how.split == "auto":
            how = how.settled(classes=how.folds is not None and self._has_classes(survey, fitted))
        parts = parts_of(self.source, survey, self.others, self.targets, how)
        known = {name: kind for name, kind in types.items() if name not in {*self.targets, *self.drop}}
        for source in (self.source, *self.others.values()):
            source.settle(known)
        if not parts[TRAIN].num_rows:
            raise ConfigError(f"{self.source.files[0]} has no row left to train on")
        preprocessing, warnings = fitted, list[list[str]]()
        lines = notes.kinds(fitted.of_table()[1].columns) if fitted is not None else []
        if preprocessing is None:
            if VAL not in self.others:
                check_share(parts.get(VAL), survey, how)
            preprocessing, lines = self._fit(survey, parts[TRAIN], dtype, scaling or TargetScaling(), ignored)
            numbers = preprocessing.facts.classes is None
            warnings = notes.notations(survey.texts) + notes.held_back(parts, how, self.others, numbers=numbers)
        lines += ["validation: files of their own"] * (VAL in self.others)
        lines += split_note.lines(how, how.by, parts.keys() - self.others.keys())
        if unlabelled := int((~survey.labelled).sum()):
            lines.append(f"{unlabelled:,} of {survey.num_rows:,} rows without {self.targets[0]} are left out")
        groups = survey.codes(self.dialect) if how.split == "group" else None
        return Prepared(parts, preprocessing, lines, warnings, groups)

    def _has_classes(self, survey: Survey, fitted: Preprocessing | None) -> bool:
        if fitted is not None:
            return fitted.facts.classes is not None
        return classes_of(survey, self.targets, self.task, self.dialect)[0] is not None

    def _fit(
        self, survey: Survey, train: Part[Source], dtype: torch.dtype, scaling: TargetScaling, ignored: int
    ) -> tuple[Preprocessing, list[str]]:
        self._check_notation(survey)
        classes, kind = classes_of(survey, self.targets, self.task, self.dialect)
        left_out = dict.fromkeys(self.drop, "asked for") | dict.fromkeys(self.index, "an index of pandas")
        left_out |= dict.fromkeys(survey.empty, "no value")
        if self.splitting.split == "column" and self.splitting.by is not None:
            left_out[self.splitting.by] = "names the split"
        if self.splitting.split == "group" and self.splitting.by is not None and self.splitting.by not in self.types:
            left_out[self.splitting.by] = "names the groups"
        names = [name for name in self.source.names if name in survey.kinds and name not in left_out]
        kinds = {name: survey.kinds[name] for name in names if name not in self.targets}
        kinds |= {name: "category" if classes is not None else survey.kinds[name] for name in self.targets}
        tallies = fitting.fit(self.source, kinds, train.roles == train.role)
        target_tallies = [tallies.pop(name) for name in self.targets]
        columns, useless = fitting.choose(tallies, kinds)
        left_out |= useless
        if not columns:
            remedies = [warning[-1].removeprefix("try: ") for warning in notes.notations(survey.texts)]
            text = f"{self.source.files[0]} has no column to learn from: {notes.reasons(left_out, 60)}"
            raise ConfigError(text, remedies[0] if remedies else None)
        way, line = scaling.choose(self.targets[0], len(self.targets), ready=False)
        y, counts = fit_targets(target_tallies, self.targets, classes, kind, self.source, dtype, way)
        x = Columns(columns, *fitting.mean_and_std(tallies[column.name] for column in columns), dtype)
        width, num_outputs = sum(column.width for column in columns), len(classes or self.targets)
        meaning = Meaning("classes" if classes is not None else "numbers", "", classes, num_outputs, ignored)
        counts = counts and tuple(count * (label != ignored) for label, count in enumerate(counts))
        facts = Facts(Spec((width,)), meaning, counts)
        lines = notes.describe(columns, tallies, left_out, self.source)
        if counting := fitting.row_numbers(self.source, columns, survey.num_rows):
            lines.append(f"only counts the rows: {listed(counting, 40)}; to leave it out:")
            lines.append(typed.texts("drop", [*self.drop, *counting]))
        lines += [line] * (classes is None) + notes.spelled(survey.texts)
        table = TableFormat(columns, self.targets, kind, self.dialect)
        return Preprocessing(facts, (len(columns),), x, y, table), lines

    def _check_notation(self, survey: Survey) -> None:
        """Raise ConfigError for a target that is text, but looks like numbers or dates in another notation."""
        for name in self.targets:
            other = survey.texts[name].other if name in survey.texts else None
            if other is not None and survey.kinds[name] == "category" and self.task != "classes":
                remedy, _, second = other.remedy.partition(", or ")
                others = f"{second}, or dataset.task=classes" if second else "dataset.task=classes"
                raise ConfigError(f"the values of {name} look like {other.what} (if not, {others})", remedy)
            if name in survey.texts and survey.texts[name].ambiguous and notes.decimal_comma(survey.texts) is not None:
                text = f"the values of {name} look like numbers with points at the thousands"
                kind = typed.types(name, "number")
                raise ConfigError(f"{text}; {kind} takes the point as a decimal point", notes.POINTS)


class Frame(Table):
    """Tables of a Python program, see config/given.py. of: what they are, for people; the others: as of Table."""

    def __init__(
        self,
        of: str,
        target: str | Sequence[str],
        task: str = "auto",
        types: Mapping[str, str] | None = None,
        drop: Sequence[str] = (),
        split: str = "auto",
        split_by: str | None = None,
        missing: Sequence[str] = MISSING,
        decimal: str = "point",
        thousands: str = "none",
        dates: str = "iso",
    ) -> None:
        dialect = Dialect("auto", "utf-8", tuple(missing), decimal, thousands, dates)
        sources = {ROLES[name]: FrameSource(rows, f"data['{name}']", dialect) for name, rows in given.data().items()}
        sources[TRAIN].files = [Path("data")]
        self._open(sources.pop(TRAIN), sources, target, task, types, drop, Splitting(split, split_by))
