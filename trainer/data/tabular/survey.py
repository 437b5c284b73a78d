"""The first pass over a table: the number of rows, the kind of each column, the rows that have a target."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from trainer.data.tabular import conversion, matrix, notation, typed
from trainer.data.tabular.batch import Batch
from trainer.data.tabular.column import Kind
from trainer.data.tabular.dialect import MISSING, Dialect
from trainer.data.tabular.notation import Notation, total
from trainer.data.tabular.source import Source
from trainer.errors import ConfigError

NEARLY = 0.9  # share of numbers in a column above which a text is an error, and not a category
FEW = 3  # texts that may all mean a missing value
MOST_CLASSES = 1000
VERSION = re.compile(r"(?i)version|release")  # in the name of a column
LOOKS = {"number": notation.NUMBER, "date": notation.DATE}


@dataclass
class Tally:
    """Counts of a column of text. like: values that look like each kind; odd: the first batch with a value that is
    not of the kind; digits, padded: values of digits alone, and those that begin with a 0; percent: values with a %
    sign; other: the first notation seen that is not the usual one; grouped: the first value whose points may stand at
    the thousands, as in 313.280; pointed: whether a point is a decimal point in some value, as in 0.5 or 1000;
    versions: values like 2.0, in a column that is named after versions."""

    values: int = 0
    like: dict[Kind, int] = field(default_factory=lambda: {"number": 0, "date": 0})
    odd: dict[Kind, Batch] = field(default_factory=dict)
    digits: int = 0
    padded: int = 0
    percent: int = 0
    other: Notation | None = None
    grouped: str = ""
    pointed: bool = False
    versions: int = 0

    def add(self, batch: Batch, name: str, dialect: Dialect) -> Any:
        """Count a batch. Returns its values as float64 or timestamps, if that is what they are as far as has been seen,
        else None."""
        values = batch.columns[name]
        numbers = conversion.plain_numbers(values, dialect)
        if is_plain := numbers is not None:
            text, count = values, len(values)
            self.like["number"] += count
        else:
            text = conversion.to_text(values, dialect)
            count = len(text) - text.null_count
            numbers = self._read(text, "number", batch, dialect)
        self.values += count
        if numbers is not None and count:  # what reads as a number never reads as a date
            found = numbers
            self.odd.setdefault("date", batch)
        else:
            found = self._read(text, "date", batch, dialect)
        if len(self.odd) == len(self.like):
            self.other = self.other or notation.other_notation(text.drop_null()[: notation.SOME], dialect)
        if numbers is None or _has_whole(numbers):  # as digits alone are
            digits = pc.ascii_is_decimal(text)
            padded = pc.and_(pc.and_(digits, pc.starts_with(text, "0")), pc.greater(pc.binary_length(text), 1))
            self.digits, self.padded = self.digits + total(digits), self.padded + total(padded)
        self.percent += total(pc.ends_with(text, "%")) if not is_plain else 0
        if not self.pointed and (dialect.decimal, dialect.thousands) == ("point", "none"):
            grouped = text.filter(pc.match_substring_regex(text, notation.GROUPED))
            self.grouped = self.grouped or (grouped[0].as_py() if len(grouped) else "")
            unmarked = total(pc.match_substring_regex(text, notation.UNMARKED))
            self.pointed = len(grouped) + unmarked < count
        if VERSION.search(name):
            self.versions += total(pc.match_substring_regex(text, r"^\d+\.\d+$"))
        doubtful = self._has_names or (numbers is not None and conversion.may_be_missing(numbers, dialect))
        return found if count and not doubtful else None

    @property
    def _has_names(self) -> bool:
        """Whether the values are digits, and some of them begin with a 0."""
        return self.padded > 0 and self.digits == self.values

    def _read(self, text: Any, kind: Kind, batch: Batch, dialect: Dialect) -> Any:
        """A batch of text as a kind, None if it is not; counts the values that are, or look like it."""
        try:
            found = conversion.parsed(text, kind, dialect)
        except pa.ArrowInvalid:
            self.odd.setdefault(kind, batch)
            usual = (notation.pointed if kind == "number" else notation.year_first)(text, dialect)
            self.like[kind] += total(pc.match_substring_regex(usual, LOOKS[kind]))
            return None
        self.like[kind] += len(text) - text.null_count
        return found

    @property
    def ambiguous(self) -> bool:
        """Whether every value can be read in two ways: with a decimal point, and with points at the thousands."""
        return "number" not in self.odd and bool(self.grouped) and not self.pointed

    def kind(self, name: str, dialect: Dialect) -> Kind:
        """The column's kind. Raises ConfigError if nearly all values are numbers, or dates, and some are not."""
        types = typed.types(name, "category")
        if self._has_names:
            return "category"
        if "number" not in self.odd and 0 < self.percent < self.values:
            text = (
                f"column '{name}' has {self.percent:,} values with a % sign and {self.values - self.percent:,} without"
            )
            raise ConfigError(f"{text}; write them one way, or take them as text", types)
        for kind in self.like:
            if kind not in self.odd:
                return kind
        for kind, count in self.like.items():
            if count >= NEARLY * self.values and not self.padded:
                error = matrix.refusal(self.odd[kind], name, kind, dialect)
                text = f"{error.message}, but {count:,} others are {kind}s"
                remedy = self.other.remedy if self.other is not None else self._as_missing(name, kind, dialect)
                raise ConfigError(f"{text}; {types} takes all as text", remedy.partition(", or ")[0])
        return "category"

    def _as_missing(self, name: str, kind: Kind, dialect: Dialect) -> str:
        """What makes the texts that are not of the kind missing values, beside those that were typed before."""
        text = conversion.to_text(self.odd[kind].columns[name], dialect).drop_null()
        usual = (notation.pointed if kind == "number" else notation.year_first)(text, dialect)
        odd = text.filter(pc.invert(pc.match_substring_regex(usual, LOOKS[kind]))).unique().to_pylist()
        before = [] if dialect.missing == MISSING else dialect.missing_texts[1:]
        return typed.texts("missing", [*before, *odd]) if 0 < len(odd) <= FEW else "name that text in dataset.missing"


@dataclass
class Survey:
    """Results of the pass. labelled: (N,) bool, rows with a target; key: the column to split by, in batches; texts: the
    columns of text whose kind was inferred; distinct: the values of the first target as text, None if too many."""

    num_rows: int = 0
    kinds: dict[str, Kind] = field(default_factory=dict)
    texts: dict[str, Tally] = field(default_factory=dict)
    labelled: Any = None
    key: list[Any] = field(default_factory=list)
    distinct: set[str] | None = field(default_factory=set)

    def codes(self, dialect: Dialect) -> Any:
        """The value of the key of each row as a number, int64."""
        texts = pa.concat_arrays([conversion.to_text(values, dialect) for values in self.key])
        return np.asarray(pc.dictionary_encode(texts, null_encoding="encode").indices).astype(np.int64)

    @property
    def empty(self) -> list[str]:
        """The columns of text without a value."""
        return [name for name, tally in self.texts.items() if not tally.values]


def take_survey(
    source: Source, targets: Sequence[str], types: dict[str, Kind], key: str | None, infer: Sequence[str] = ()
) -> Survey:
    """Read all rows once; of Parquet, only the targets, the key, and text whose kind is not known. Of CSV that is kept,
    columns of numbers and dates hold these from then on.

    types: the kinds of columns that are known; infer: the columns whose kind to infer, unless it is known. Raises
    ConfigError for what cannot be read, and for a column without a clear kind.
    """
    dialect, survey = source.dialect, Survey()
    wanted = [name for name in infer if name not in types]
    typed = source.kinds(wanted)
    survey.kinds = types | typed
    survey.texts = {name: Tally() for name in wanted if name not in typed}
    if survey.texts:
        source.forget()  # an earlier survey may have left no text
    labelled, settled = [], set[tuple[str, Kind]]()
    for batch in source.batches(list(dict.fromkeys([*targets, *([key] if key else []), *survey.texts]))):
        survey.num_rows += batch.num_rows
        as_read = replace(batch, columns=dict(batch.columns))
        found = {name: tally.add(as_read, name, dialect) for name, tally in survey.texts.items()}
        missing = [_is_missing(batch.columns[name], found.get(name), dialect) for name in targets]
        labelled.append(~np.logical_or.reduce(missing))
        if survey.distinct is not None:
            unique = pc.unique(batch.columns[targets[0]])
            few = len(unique) <= 2 * MOST_CLASSES  # blanks around a text make it another one here
            survey.distinct |= set(conversion.to_text(unique, dialect).drop_null().to_pylist()) if few else set()
            survey.distinct = survey.distinct if few and len(survey.distinct) <= MOST_CLASSES else None
        if key is not None:
            survey.key.append(batch.columns[key])
        text = targets if survey.distinct is not None else ()  # the names of classes, if there are not too many
        for name, values in found.items():
            if values is not None and name not in text:
                batch.columns[name] = values
                settled.add((name, "number" if pa.types.is_floating(values.type) else "date"))
    survey.labelled = np.concatenate(labelled) if labelled else np.zeros(0, dtype=bool)
    survey.kinds |= {name: tally.kind(name, dialect) for name, tally in survey.texts.items()}
    if any(survey.kinds[name] != kind for name, kind in settled):  # text came after them
        source.forget()
    return survey


def _has_whole(numbers: Any) -> bool:
    values = numbers.to_numpy(zero_copy_only=False)  # pyarrow rounds many times slower than numpy
    return bool((np.rint(values) == values).any())


def _is_missing(values: Any, found: Any, dialect: Dialect) -> Any:
    """Whether each value is missing: (N,) bool. found: the values as numbers or dates, if that is what they are."""
    if found is None:
        return conversion.is_missing(values, dialect)
    return found.is_null().to_numpy(zero_copy_only=False)
