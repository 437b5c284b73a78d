"""Which rows of a table train, validate and test: as dataset.split draws them, or as files of their own say."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from trainer.data import roles
from trainer.data.parts import Part
from trainer.data.roles import LEFT_OUT, NAMES, TEST, TRAIN, VAL, Roles
from trainer.data.splitting import Rule, Splitting
from trainer.data.tabular import conversion, matrix
from trainer.data.tabular.column import Kind
from trainer.data.tabular.source import Source
from trainer.data.tabular.survey import Survey, take_survey
from trainer.errors import ConfigError
from trainer.text import counted

LEAST = 0.5  # share of the rows asked for that a split has to hold back


def check_column(how: Splitting) -> None:
    """Raise ConfigError for a split without its column, or a column without its split."""
    needs_column = how.split in ("time", "column", "group")
    if needs_column and how.by is None:
        raise ConfigError(f"dataset.split={how.split} needs dataset.split_by, the name of a column")
    if how.by is not None and not needs_column:
        raise ConfigError(f"dataset.split_by={how.by} needs dataset.split=time|column|group")


def key(how: Splitting, targets: Sequence[str]) -> str | None:
    """The column that the split depends on, or may depend on."""
    by_class = how.split == "stratified" or (how.split == "auto" and how.folds is not None)
    return how.by or (targets[0] if by_class else None)


def parts_of(
    source: Source, survey: Survey, others: Mapping[int, Source], targets: list[str], how: Splitting
) -> dict[int, Part[Source]]:
    """The part of each role that has rows, and those of separate files. others: these files, by role. Adds the values
    of their targets to the survey. Raises ConfigError for a split that holds back much less than it was asked to."""
    own = how if VAL not in others else replace(how, val_fraction=0.0)
    all_roles = np.full(survey.num_rows, LEFT_OUT, dtype=np.int8)
    all_roles[survey.labelled] = _roles(source, survey, own)
    parts = {role: Part(source, all_roles, role) for role in (VAL, TEST) if (all_roles == role).any()}
    if twice := sorted(parts.keys() & others.keys()):
        key = NAMES[twice[0]]
        text = (
            f"dataset.{key}_path names a file, but column '{how.by}' names {parts[twice[0]].num_rows:,} rows {key} too"
        )
        raise ConfigError(text, f"dataset.{key}_path=null")
    parts[TRAIN] = Part(source, all_roles, TRAIN)
    for role, other in others.items():
        found = take_survey(other, targets, survey.kinds, None)
        if not found.labelled.any():
            raise ConfigError(f"{other.files[0]} has no row with a {targets[0]}")
        both = survey.distinct is not None and found.distinct is not None
        survey.distinct = survey.distinct | found.distinct if both else None  # type: ignore[operator]
        parts[role] = Part(other, np.where(found.labelled, role, LEFT_OUT).astype(np.int8), role)
    return parts


def check_share(part: Part[Source] | None, survey: Survey, how: Splitting) -> None:
    """Raise ConfigError if a split by class or by group holds back much less than it was asked to."""
    asked, num_rows = how.val_fraction * int(survey.labelled.sum()), part.num_rows if part is not None else 0
    if how.split not in ("stratified", "group") or asked < 1 or num_rows >= LEAST * asked:
        return
    why, remedy = f"the groups of '{how.by}' are too large", "a larger dataset.val_fraction"
    if how.split == "stratified":
        why, remedy = "most values of the target occur once or twice", "dataset.split=random"
    rows = counted(num_rows, "row")
    text = f"dataset.split={how.split} holds back {rows}, and dataset.val_fraction asks for {asked:,.0f}"
    raise ConfigError(f"{text}: {why}", remedy)


def _roles(source: Source, survey: Survey, how: Splitting) -> Roles:
    """The roles of the labelled rows."""
    labelled, dialect, name = survey.labelled, source.dialect, how.by or ""
    if how.split == "random":
        return how.draw(Rule("random", np.zeros(int(labelled.sum()), dtype=np.int8)))
    if how.split == "time":
        times = np.concatenate([_times(source, survey.kinds[name], values, name) for values in survey.key])
        return how.draw(Rule("time", times[labelled]))
    values = pa.concat_arrays([conversion.to_text(values, dialect) for values in survey.key]).filter(pa.array(labelled))
    if how.split == "column":
        named = roles.named_roles(values.to_pylist(), name)
        return how.thinned(named, Rule("random", np.zeros(len(named), dtype=np.int8)))
    encoded = values.dictionary_encode(null_encoding="encode")
    words = encoded.dictionary
    return how.draw(Rule(how.split, np.asarray(encoded.indices), lambda code: str(words[code])))


def _times(source: Source, kind: Kind, values: Any, name: str) -> conversion.Floats:
    if kind == "category":
        raise ConfigError(f"dataset.split=time: column '{name}' holds neither numbers nor dates like 2026-11-25")
    try:
        return conversion.to_floats(values, kind, source.dialect)
    except pa.ArrowInvalid:
        for batch in source.batches([name]):  # finds the line
            matrix.numbers_of(batch, name, kind, source.dialect)
        raise
