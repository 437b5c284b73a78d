"""Text becomes numbers by one cast of a column, and what that cast decides is what looking at every text would."""

import csv
import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from table_rows import rows_of

from trainer.cli import main
from trainer.data.table import Table
from trainer.data.tabular import conversion, csv_text, notation
from trainer.data.tabular.batch import Batch, settle
from trainer.data.tabular.column import Kind
from trainer.data.tabular.dialect import MISSING, Dialect
from trainer.data.tabular.source import Source
from trainer.data.tabular.survey import Tally

NUM_ROWS = 3000


Work = Counter[tuple[str, str]]


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """How many texts have been cast, by the first letter of a column's last value, and the type; or searched for what
    looks like a date. A sample does not count, but where it is tried as dates."""
    counts, cast, replace = Work(), pc.cast, pc.replace_substring_regex

    def counted_cast(values: Any, kind: Any = None, *args: Any, **keys: Any) -> Any:
        if pa.types.is_string(values.type) and not pa.types.is_string(kind):
            first = values[-1].as_py()[0]
            counts[first, str(kind)] += len(values) * (len(values) > notation.FIRST)
            counts[first, "dates"] += pa.types.is_timestamp(kind)
        return cast(values, kind, *args, **keys)

    def counted_replace(values: Any, *args: Any, **keys: Any) -> Any:
        counts[values[-1].as_py()[0], "replace"] += len(values) * (len(values) > notation.FIRST)
        return replace(values, *args, **keys)

    monkeypatch.setattr(pc, "cast", counted_cast)
    monkeypatch.setattr(pc, "replace_substring_regex", counted_replace)
    return counts


def test_a_column_is_cast_once_and_numbers_are_never_tried_as_dates(
    work: Work, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = (f"1.{i:04},-{i},2.{i % 5}e3,9-34 cat {i % 3},6020-01-{i % 28 + 1:02},5{i}.5\n" for i in range(NUM_ROWS))
    Path("t.csv").write_text("a,b,c,text,day,y\n" + "".join(rows))
    once = {(first, "double"): NUM_ROWS for first in "1-2"} | {("6", "timestamp[us]"): NUM_ROWS}
    for words, target in (
        ("train dataset=table dataset.path=t.csv dataset.target=y max_steps=1 report=false", 1),
        ("eval latest", 2),  # which looks at the targets alone before it reads the rest
        ("eval latest dataset.path=t.csv", 1),
        ("predict latest t.csv -o out.csv", 0),
        ("predict latest t.csv -o out.parquet", 0),
    ):
        work.clear()
        assert main(words.split()) == 0, capsys.readouterr()
        assert {first for first, what in +work if what == "dates"} <= {"6", "9"}, words
        done = Counter({key: count for key, count in work.items() if key[1] != "dates"})
        assert +done == Counter(once) + Counter({("5", "double"): target * NUM_ROWS}), words


WORDS = {
    "plain": ["0", "1", "-2", "+3.5", ".5", "7.", "1e5", "1E-3", "-0", "1.10"],
    "ids": ["12345678901234567890123", "98765432109876543210", "00042", "007", "0"],
    "blanks": [" 1", "2 ", "\t3", " 4 "],
    "missing": ["", " ", "NA", "nan", "NaN", "?", "null"],
    "marked": ["-999", "-999.0", "-999.00", "1e5", "100000", "inf"],
    "percent": ["45%", "4.5 %", "100%"],
    "grouped": ["1,234", "1.234", "12 345", "1.234.567", "313.280", "1,234.5", "1.234,5"],
    "words": ["inf", "-inf", "Infinity", "INF", "nan", "-nan", "1e400"],
    "dates": ["2026-11-25", "2026-1-5", "2026/01/05", "1999.12.31"],
    "times": ["2026-11-25 10:30", "2026-11-25T10:30:00.123456789", "2026-11-25 1:05"],
    "zones": ["2026-11-25T10:30:00Z", "2026-11-25 10:30:00+01:00"],
    "days": ["25.11.2026", "1/2/26", "11-25-2026"],
    "text": ["a", "1a", "12-34 b", "2026-13-45", "1.5 kg", "-", "e5", "1_000", "\u0661", "0x10", "1d"],
}
COLUMNS = st.lists(st.sampled_from(sorted(WORDS)), min_size=1, max_size=3, unique=True).flatmap(
    lambda kinds: st.tuples(
        st.lists(st.sampled_from([word for kind in kinds for word in WORDS[kind]]), min_size=1, max_size=12),
        st.sampled_from([1, notation.FIRST]),  # so that the last text is not among the first
        st.sampled_from(["1", "0.5", "2026-11-25", "a", "", "-999", "05"]),
    ).map(lambda drawn: drawn[0] * drawn[1] + [drawn[2]])
)
DIALECTS = [
    Dialect(),
    Dialect(missing=("NA",)),
    Dialect(missing=(*MISSING, "-999", "1e5", "inf", "0")),
    Dialect(decimal="comma"),
    Dialect(decimal="comma", thousands="point", missing=("-999",)),
    Dialect(thousands="comma"),
    Dialect(thousands="space", dates="dmy"),
    Dialect(dates="mdy"),
]


def floats(values: Any, kind: Kind, dialect: Dialect) -> list[str] | None:
    """The bits of a column as a kind, which tell 0.0 from -0.0; None if it is refused."""
    try:
        found = conversion.to_floats(values, kind, dialect)
    except pa.ArrowInvalid:
        return None
    return [value.hex() for value in np.where(np.isnan(found), np.nan, found).tolist()]


def looked_at(values: Any, dialect: Dialect) -> dict[str, Any]:
    """What a column of text is, from every text tried as every kind."""
    text = conversion.to_text(values, dialect)
    numbers, count = notation.pointed(text, dialect), len(text) - text.null_count
    found: dict[str, Any] = {}
    for kind, usual, look in (
        ("number", numbers, notation.NUMBER),
        ("date", notation.year_first(text, dialect), notation.DATE),
    ):
        try:
            conversion.parsed(text, kind, dialect)
            found[kind] = count, False
        except pa.ArrowInvalid:
            found[kind] = notation.total(pc.match_substring_regex(usual, look)), True
    digits = [value for value in text.drop_null().to_pylist() if value.isascii() and value.isdecimal()]
    found["digits"] = len(digits), sum(value.startswith("0") and len(value) > 1 for value in digits)
    found["percent"] = sum(value.endswith("%") for value in text.drop_null().to_pylist())
    found["missing"] = text.is_null().to_pylist()
    return found


@settings(max_examples=200)
@example(["1", "-0"], DIALECTS[2])  # as text not the 0 of dataset.missing, as a number it is
@given(COLUMNS, st.sampled_from(DIALECTS))
def test_one_cast_finds_what_every_text_says(texts: list[str], dialect: Dialect) -> None:
    values = pa.array(texts, pa.string())
    with pytest.MonkeyPatch.context() as patch:  # the long way: no cast of all, no sample, every kind
        patch.setattr(conversion, "plain_numbers", lambda values, dialect: None)
        patch.setattr(notation, "FIRST", len(texts))
        expected, kinds = looked_at(values, dialect), ("number", "date")
        bits = {kind: floats(values, kind, dialect) for kind in kinds}
    batch, tally = Batch({"x": values}, len(values), str), Tally()
    found = tally.add(batch, "x", dialect)
    assert {kind: (tally.like[kind], kind in tally.odd) for kind in kinds} == {kind: expected[kind] for kind in kinds}
    assert ((tally.digits, tally.padded), tally.percent) == (expected["digits"], expected["percent"])
    assert conversion.is_missing(values, dialect).tolist() == expected["missing"]
    assert {kind: floats(values, kind, dialect) for kind in kinds} == bits
    for kind in kinds:
        if found is not None and kind == ("number" if pa.types.is_floating(found.type) else "date"):
            assert kind not in tally.odd
            assert floats(found, kind, dialect) == bits[kind]
            assert found.is_null().to_pylist() == expected["missing"]
        settled = Batch({"x": values}, len(values), str)
        settle(settled, {"x": kind}, dialect)
        assert floats(settled.columns["x"], kind, dialect) == bits[kind]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ("{c}.50", "cat {c}"),
        ("2026-1-{d}", "cat {c}"),
        ("{c}.50", "2026-1-{d}"),
        ("2026-1-{d}", "{c}.50"),
        ("{i}", "0{i}"),
        ("{i}", ""),
    ],
)
def test_a_column_that_turns_out_to_be_text_is_read_again(
    first: str, then: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = [(first if i < 400 else then).format(i=i, c=i % 3, d=i % 28 + 1) for i in range(800)]
    (tmp_path / "t.csv").write_text("x,n,y\n" + "".join(f"{x},{i % 7},{i}.5\n" for i, x in enumerate(lines)))
    made = []
    for size in (2**20, 512):  # bytes of a block
        monkeypatch.setattr(csv_text, "BLOCK", size)
        prepared = Table(str(tmp_path / "t.csv"), "y").prepare({"val_fraction": 0.2}, torch.float32, None)
        made.append((prepared.preprocessing.table, prepared.notes, prepared.warnings, *rows_of(prepared)))
    assert made[0][:3] == made[1][:3]
    torch.testing.assert_close(made[0][3:], made[1][3:], rtol=0, atol=0, equal_nan=True)


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["1,2\n", "3,4\r\n", "\n", '"a\nb",5\n', '"6",7\n', '"\r",8\n']), max_size=12))
def test_rows_know_their_lines(lines: list[str]) -> None:
    data = "a,b\n" + "".join(lines)
    path = Path("lines.csv")
    path.write_bytes(data.encode())
    found = [batch.where(row) for batch in Source(str(path), Dialect()).batches() for row in range(batch.num_rows)]
    reader, before, expected = csv.reader(io.StringIO(data, newline="")), 0, list[str]()
    for row in reader:
        expected += [f"lines.csv line {before + 1}"] * bool(row)
        before = reader.line_num
    assert found == expected[1:]
