"""Numbers and dates as people write them: read where the notation is typed, named where it is not."""

import datetime
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Cli, config
from hypothesis import given, settings
from hypothesis import strategies as st
from table_rows import rows_of

from trainer.data import preprocessing
from trainer.data.table import Prepared, Table
from trainer.data.tabular import typed
from trainer.errors import ConfigError

MARKS = {"point": ".", "comma": ",", "space": "\u202f", "none": ""}
DATES = {"dmy": "%d/%m/%Y", "mdy": "%m-%d-%Y"}


def write(path: Path, values: list[str], y: Any = None) -> None:
    y = range(len(values)) if y is None else y
    rows = (f"{a};{number};{b}\n" for number, (a, b) in enumerate(zip(values, y, strict=True)))
    path.write_text("v;x;y\n" + "".join(rows), encoding="utf-8")


def prepared(path: Path, target: str = "y", **keys: Any) -> Prepared:
    return Table(str(path), target, **keys).prepare({}, torch.float32, None)


def spelled(number: float, decimal: str, thousands: str) -> str:
    plain = f"{number:_.3f}".rstrip("0").rstrip(".")
    return plain.replace(".", "!").replace("_", MARKS[thousands]).replace("!", MARKS[decimal])


@settings(max_examples=20)
@given(
    numbers=st.lists(st.integers(-(10**9), 10**9).map(lambda n: n / 1000), min_size=30, max_size=40, unique=True),
    marks=st.sampled_from([("comma", "none"), ("comma", "point"), ("comma", "space"), ("point", "comma")]),
)
def test_numbers_in_a_typed_notation_are_those_numbers(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[float], marks: tuple[str, str]
) -> None:
    folder, keys = tmp_path_factory.mktemp("notation"), dict(zip(("decimal", "thousands"), marks, strict=True))
    write(folder / "plain.csv", [repr(number) for number in numbers])
    write(folder / "t.csv", [spelled(number, *marks) for number in numbers])
    plain, made = prepared(folder / "plain.csv"), prepared(folder / "t.csv", **keys)
    assert made.preprocessing.table.columns == plain.preprocessing.table.columns
    assert torch.equal(made.preprocessing.x.mean, plain.preprocessing.x.mean)
    assert made.warnings == []
    preprocessing.write(folder, made.preprocessing)
    assert preprocessing.read(folder, torch.float32).table == made.preprocessing.table  # the keys are kept


@pytest.mark.parametrize("end", ["", " 13:45", " 1:02:03.5"])
@pytest.mark.parametrize("order", DATES)
def test_dates_in_a_typed_order_are_those_dates(tmp_path: Path, order: str, end: str) -> None:
    days = [datetime.date(2020, 1, 1) + datetime.timedelta(7 * i) for i in range(90)]
    write(tmp_path / "iso.csv", [f"{day}{end}".replace(" 1:", " 01:") for day in days])
    write(tmp_path / "t.csv", [day.strftime(DATES[order]) + end for day in days])
    plain, made = prepared(tmp_path / "iso.csv"), prepared(tmp_path / "t.csv", dates=order)
    assert made.preprocessing.table.columns == plain.preprocessing.table.columns
    assert made.preprocessing.table.columns[0].kind == "date"
    (warning,) = prepared(tmp_path / "t.csv").warnings
    assert warning[1] == f"try: dataset.dates={order}"
    with pytest.raises(ConfigError, match="is not a date") as caught:
        prepared(tmp_path / "t.csv", dates="mdy" if order == "dmy" else "dmy")
    assert f"dataset.dates={order}" in caught.value.hint


@pytest.mark.parametrize(
    ("texts", "day"),
    [
        (["31/12/68", "01/01/69"], [36159.0, -365.0]),  # POSIX: 69 is 1969, 68 is 2068
        (["3.4.2021", "2021-04-03"], [18720.0, 18720.0]),
    ],
)
def test_short_years_and_iso_dates_are_read_too(tmp_path: Path, texts: list[str], day: list[float]) -> None:
    write(tmp_path / "t.csv", [*texts, "01/01/1970"] * 20)
    column, _ = prepared(tmp_path / "t.csv", dates="dmy").preprocessing.table.columns
    assert (column.low, column.high) == (min(*day, 0.0), max(*day, 0.0))


LOOKS = {  # values, what they look like, what to type
    "decimal comma": (["1,5", "22,75", "300"], "numbers with a decimal comma", "dataset.decimal=comma"),
    "both": (["1.234,5", "22,75", "1.000.000"], "numbers with a decimal comma",
             "dataset.decimal=comma dataset.thousands=point"),
    "thousands": (["1,234", "950", "22,000.5"], "numbers with a comma at the thousands", "dataset.thousands=comma"),
    "spaces": (["1 234", "950", "22 000.5"], "numbers with spaces at the thousands", "dataset.thousands=space"),
    "0,500 has no thousands": (["0,500", "1,250"], "numbers with a decimal comma", "dataset.decimal=comma"),
    "no comma": (["1.5", "22.75", "300"], "numbers with a decimal point", "dataset.decimal=point"),
    "day first": (["31/12/2020", "01/02/2021"], "dates, day first", "dataset.dates=dmy"),
    "month first": (["12/31/20", "02/01/21"], "dates, month first", "dataset.dates=mdy"),
    "either": (["01.02.2020", "03.04.2021"], "dates, day or month first",
               "dataset.dates=dmy, or dataset.dates=mdy"),
    "money": (["$1,234.50", "$2"], "amounts of money", "numbers without the sign"),
    "durations": (["1 days 02:00:00", "-1 days +23:59:55"], "durations", "numbers, as seconds"),
}  # fmt: skip


@pytest.mark.parametrize("name", LOOKS)
def test_another_notation_is_named_with_what_to_type(tmp_path: Path, name: str) -> None:
    values, what, remedy = LOOKS[name]
    write(tmp_path / "t.csv", values * 30)
    keys = {"decimal": "comma"} if name == "no comma" else {}
    assert prepared(tmp_path / "t.csv", **keys).warnings == [[f"v looks like {what}, taken as text", f"try: {remedy}"]]
    assert prepared(tmp_path / "t.csv", types={"v": "category"}).warnings == []
    with pytest.raises(ConfigError, match=f"the values of v look like {what}") as caught:
        prepared(tmp_path / "t.csv", "v", **keys)
    assert caught.value.hint == remedy.partition(", or ")[0]
    assert "dataset.task=classes" in caught.value.message


@pytest.mark.parametrize(
    "values", [["a,b", "c,d"], ["1,5", "x"], ["v1.2.3", "v1.10"], ["12:30", "9:15"], ["1-2", "3-4"]]
)
def test_other_text_is_text_without_a_word(tmp_path: Path, values: list[str]) -> None:
    write(tmp_path / "t.csv", values * 30)
    made = prepared(tmp_path / "t.csv")
    assert (made.preprocessing.table.columns[0].kind, made.warnings) == ("category", [])


def test_a_wrong_mark_is_refused_where_it_stands(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", [*["1,5", "2,5"] * 30, "3.5"])
    with pytest.raises(ConfigError, match=r"line 62 column 1 \(v\): '3.5' is not a number, but 60 others are"):
        prepared(tmp_path / "t.csv", decimal="comma")
    write(tmp_path / "t.csv", [*["950", "10"] * 30, "1,234"])
    with pytest.raises(ConfigError, match=r"'1,234' is not a number, but 60 others are") as caught:
        prepared(tmp_path / "t.csv")
    assert "dataset.thousands=comma" in caught.value.hint
    with pytest.raises(ConfigError, match="cannot be both") as caught:
        prepared(tmp_path / "t.csv", thousands="point")
    assert caught.value.hint == "dataset.decimal=comma dataset.thousands=point"


def test_percentages_are_numbers_unless_only_some_have_the_sign(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", ["45%", "7.5 %", "100%"] * 20)
    made = prepared(tmp_path / "t.csv")
    x, _ = rows_of(made)
    assert made.preprocessing.x.inverse(made.preprocessing.x.expand(x))[:3, 0].tolist() == pytest.approx([45, 7.5, 100])
    assert "percentages, 45% is read as 45: v" in made.notes
    write(tmp_path / "t.csv", ["45%", "0.5", "100%"] * 20)
    with pytest.raises(ConfigError, match="40 values with a % sign and 20 without"):
        prepared(tmp_path / "t.csv")


def test_digits_that_begin_with_0_are_categories_and_the_header_says_so(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", ["01234", "10115", "00501"] * 20)
    made = prepared(tmp_path / "t.csv")
    assert made.preprocessing.table.columns[0].levels == ("00501", "01234", "10115")
    assert made.notes[-2:] == [
        "categories, as their digits begin with 0: v",
        "if they are numbers: 'dataset.types={v: number}'",
    ]
    assert prepared(tmp_path / "t.csv", types={"v": "number"}).preprocessing.table.columns[0].low == 501
    write(tmp_path / "t.csv", ["0.5", "0", "10"] * 20)
    assert prepared(tmp_path / "t.csv").preprocessing.table.columns[0].kind == "number"


POINTS = "dataset.decimal=comma dataset.thousands=point"


def test_points_that_may_stand_at_the_thousands_are_named_with_both_readings(tmp_path: Path) -> None:
    """A German file: 313.280 is 313280. Only all values together tell."""
    german, note = ["313.280", "1.250", "950"], "v: 313.280 is read with a decimal point; for 313280:"
    write(tmp_path / "t.csv", german * 20)
    made = prepared(tmp_path / "t.csv")
    assert made.preprocessing.table.columns[0].high == 950
    assert made.notes[-2:] == [note, POINTS]
    made = prepared(tmp_path / "t.csv", decimal="comma", thousands="point")
    assert (made.preprocessing.table.columns[0].high, POINTS in made.notes) == (313280, False)
    assert POINTS not in prepared(tmp_path / "t.csv", types={"v": "number"}).notes
    for value in ("0.5", "1000", "12.50", "0.125", "-1.0"):  # a point here is a decimal point
        write(tmp_path / "t.csv", [*german * 20, value])
        assert POINTS not in prepared(tmp_path / "t.csv").notes, value
    write(tmp_path / "t.csv", [*german * 20, "1.234.567"])
    with pytest.raises(ConfigError, match=r"'1\.234\.567' is not a number") as caught:
        prepared(tmp_path / "t.csv")
    assert POINTS in caught.value.hint
    write(tmp_path / "t.csv", german * 20)
    with pytest.raises(ConfigError, match="look like numbers with points at the thousands") as caught:
        prepared(tmp_path / "t.csv", "v", decimal="comma")
    assert caught.value.hint == "dataset.thousands=point"


def test_a_decimal_comma_elsewhere_decides_what_points_mean(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", ["313.280", "950"] * 30, ["1,5", "22,75"] * 30)
    _, (text, remedy) = prepared(tmp_path / "t.csv", "x").warnings
    assert text.startswith("v: 313.280 is read with a decimal point, but y has numbers with a decimal comma")
    assert remedy == f"try: {POINTS}"
    with pytest.raises(ConfigError, match="the values of v look like numbers with points at the thousands") as caught:
        prepared(tmp_path / "t.csv", "v")
    assert caught.value.hint == POINTS
    assert "'dataset.types={v: number}' takes the point as a decimal point" in caught.value.message


def test_versions_that_become_numbers_are_named(tmp_path: Path) -> None:
    for name, values in (("version", ["1.1", "2.0"]), ("version", ["1", "2"]), ("size", ["1.1", "2.0"])):
        rows = "".join(f"{value},{number}\n" for number, value in enumerate(values * 30))
        (tmp_path / "t.csv").write_text(f"{name},y\n{rows}")
        told = prepared(tmp_path / "t.csv").notes[-1] == "'dataset.types={version: category}'"
        assert told is (name == "version" and "2.0" in values)


NAMES = ["Sale Price", "preis (EUR)", "a:b", "x,y", "100%", "n.d.", "a=b", "{}", "-999", "null", "it's", "größe"]


@pytest.mark.parametrize("text", NAMES)
def test_hints_can_be_typed_as_they_are_printed(text: str) -> None:
    """Through the shell's words and Hydra's grammar, the text comes out as it was."""
    (word,) = shlex.split(typed.texts("missing", [text, "NA"]))
    assert config("dataset=table", "dataset.path=t.csv", "dataset.target=y", word).dataset["missing"] == [text, "NA"]
    if text in ("größe", "it's", "null"):
        assert typed.types(text, "number").startswith("rename column")
        return
    (word,) = shlex.split(typed.types(text, "number"))
    made = config("dataset=table", "dataset.path=t.csv", "dataset.target=y", word).dataset["types"]
    assert {str(key): kind for key, kind in made.items()} == {text: "number"}


def test_a_few_odd_texts_are_offered_as_missing_values(tmp_path: Path) -> None:
    write(tmp_path / "t.csv", [*["7", "8"] * 30, "n.d.", "k. A."])
    with pytest.raises(ConfigError, match=r"'n\.d\.' is not a number") as caught:
        prepared(tmp_path / "t.csv")
    assert caught.value.hint == """"dataset.missing=[n.d.,'k. A.']\""""
    assert "'dataset.types={v: category}' takes all as text" in caught.value.message
    assert prepared(tmp_path / "t.csv", missing=["n.d.", "k. A."]).preprocessing.table.columns[0].missing
    with pytest.raises(ConfigError, match=r"'k\. A\.' is not a number") as caught:
        prepared(tmp_path / "t.csv", missing=["n.d."])  # a typed list replaces the one before
    assert """"dataset.missing=[n.d.,'k. A.']\"""" in caught.value.hint


@pytest.mark.slow
def test_the_notation_is_kept_with_the_run(tmp_path: Path, cli: Cli) -> None:
    chance = np.random.default_rng(0)
    a, b = chance.uniform(0, 10_000, (2, 300))
    for name, decimal, thousands in (("plain", "point", "none"), ("eu", "comma", "point")):
        rows = [";".join(spelled(v, decimal, thousands) for v in row) for row in zip(a, b, 2 * a - b, strict=True)]
        (tmp_path / f"{name}.csv").write_text("a;b;y\n" + "\n".join(rows))
    words = ["dataset=table", "dataset.target=y", "epochs=2", "report=false"]
    told = []
    for name, keys in (("plain", []), ("eu", ["dataset.decimal=comma", "dataset.thousands=point"])):
        done = cli("train", *words, f"dataset.path={name}.csv", *keys)
        assert done.returncode == 0, done.stderr
        assert "2 numbers: a, b" in done.stdout
        told.append(cli("eval", "latest", f"dataset.path={name}.csv").stdout.splitlines()[2:])
        done = cli("predict", "latest", f"{name}.csv")
        told.append([line.rpartition(",")[2] for line in done.stdout.splitlines()])
    assert told[0] == told[2]
    assert told[1] == told[3]
    done = cli("train", *words, "dataset.path=eu.csv")
    assert (done.returncode, done.stderr.splitlines()[0]) == (
        2, "error: the values of y look like numbers with a decimal comma (if not, dataset.task=classes)",
    )  # fmt: skip
