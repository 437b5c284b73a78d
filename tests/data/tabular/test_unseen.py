"""Columns and values that training knows nothing of: left out and named, or counted and named, never silent."""

import csv
import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from conftest import Cli
from table_rows import rows_of

from trainer.cli import main
from trainer.data import preprocessing
from trainer.data.table import Prepared, Table
from trainer.inference.rows import encoded, open_table


def write(path: str, **columns: Any) -> None:
    if path.endswith(".parquet"):
        pa.parquet.write_table(pa.table(columns), path)
        return
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def prepared(path: str = "t.csv", **keys: Any) -> Prepared:
    return Table(path, "y", **keys).prepare({}, torch.float32, None)


def read_again(made: Prepared, path: str) -> tuple[np.ndarray, list[str]]:
    """New rows as a run folder's preprocessing encodes them, and its warnings."""
    preprocessing.write(Path(), made.preprocessing)
    from trainer.inference.rows import Unseen

    unseen, table = Unseen(), preprocessing.read(Path(), torch.float32).table
    raw = [raw for _, raw in encoded(open_table(path, table, with_targets=False), table, unseen)]
    return torch.cat(raw).numpy(), list(unseen.warnings())


@pytest.mark.parametrize("value", [14.62, 0.1 + 0.2, 1e15 + 1, 1e-200, 0.0, -3.7e40])
def test_a_constant_column_is_left_out_whatever_its_rounding(value: float) -> None:
    near = float(np.nextafter(value, np.inf)) if not value.is_integer() else value
    y = np.random.default_rng(0).normal(size=1000)
    values = [value, near] * 500
    assert np.std(values) > 0 or value in (1e15 + 1, 1e-200, 0.0)
    write("t.csv", x=-y, c=values, y=y)
    made = prepared()
    assert [column.name for column in made.preprocessing.table.columns] == ["x"]
    assert "left out: c (one value)" in made.notes
    write("t.csv", x=-y, c=[value + 1 + abs(value), *values[1:]], y=y)
    assert [column.name for column in prepared().preprocessing.table.columns] == ["x", "c"]


@pytest.mark.parametrize("values", [[2.0**53, 2.0**53 - 1], [1e15, 1e15 + 1], [1e-200, 2e-200], [0.1, 0.1 + 1e-12]])
def test_columns_of_small_spread_are_kept_and_scaled(values: list[float]) -> None:
    write("t.parquet", x=values * 50, y=[0.5, 1.5] * 50)
    made = prepared("t.parquet")
    x, _ = rows_of(made)
    low, high = x[:, 0].unique().tolist()  # the mean of 2**53 and 2**53 - 1 is one of them
    assert 1 <= high - low <= 2.001


def test_a_constant_with_holes_marks_them_and_a_new_value_stays_small() -> None:
    write("t.csv", c=["14.62", "14.62", ""] * 50, y=[0.5, 1.5, 2.5] * 50)
    made = prepared()
    assert made.preprocessing.x(torch.tensor([[14.62], [torch.nan], [20.0]], dtype=torch.float64)).tolist() == [
        [0.0, 0.0], [0.0, 1.0], [pytest.approx(20 / 14.62 - 1), 0.0]
    ]  # fmt: skip
    write("new.csv", c=["14.62", "20", "14.63"])
    assert read_again(made, "new.csv")[1] == ["c has 2 values far outside those of training, 14.62 to 14.62: 20"]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_holes_where_training_had_none_are_counted(form: str) -> None:
    """A number becomes the mean, 0 when it is standardised; a category none of those that training had."""
    old = {
        "a": [1.5, 2.5] * 50,
        "h": [None, 2.5, 1.0, 2.0] * 25,
        "c": ["p", "q"] * 50,
        "d": ["2020-01-01", "2020-01-02"] * 50,
    }
    write(f"t.{form}", **old, y=[0.5, 1.5] * 50)
    new = {"a": [1.5, None, None], "h": [None, 1.0, 2.0], "c": ["p", None, "q"], "d": [None, None, None]}
    write(f"new.{form}", **{key: pa.array(value, pa.string()) if key == "d" and form == "parquet" else value
                            for key, value in new.items()})  # fmt: skip
    made = prepared(f"t.{form}")
    raw, warnings = read_again(made, f"new.{form}")
    assert warnings == [
        "a has 2 missing values and training had none: taken as the mean",
        "c has 1 missing value and training had none: taken as no category",
        "d has 3 missing values and training had none: taken as the mean",
    ]
    names = [column.name for column in made.preprocessing.table.columns]
    x = made.preprocessing.x(torch.from_numpy(raw))
    assert names[0] == "a"
    assert x[1:, 0].tolist() == [0.0, 0.0]
    assert (x[1] == 1).sum() == 0


@pytest.mark.parametrize("streamed", ["auto", "false"])
def test_the_header_counts_what_only_validation_has(streamed: str, capsys: pytest.CaptureFixture[str]) -> None:
    from trainer.cli import main

    train = {"a": [float(number % 7) for number in range(80)], "c": ["p", "q"] * 40}
    last = {"a": [100.0, 0.0, 0.0, None] * 5, "c": ["new", "p", "q", "q"] * 5}
    columns = {key: train[key] + last[key] for key in train}
    write("t.parquet", **columns, y=[number % 11 + 0.5 for number in range(100)], t=list(range(100)))
    words = ["dataset=table", "dataset.path=t.parquet", "dataset.target=y", "dataset.split=time", "dataset.split_by=t"]
    words += [f"loader.in_memory={streamed}", "dataset.val_fraction=0.2", "epochs=1", "report=false", "device=cpu"]
    assert main(["train", *words, "threads=1"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "warning c has categories not seen in training, treated as other (5 values): new" in said
    assert "warning a has 5 missing values and training had none: taken as the mean" in said
    assert "warning a has 5 values far outside those of training, 0 to 6: 100" in said
    assert "t has" not in said


def test_numbers_and_dates_far_outside_training_are_counted() -> None:
    day = [datetime.date(2020, 1, 1) + datetime.timedelta(i) for i in range(100)]
    write("t.csv", size=np.linspace(10, 20, 100), day=day, y=[0.5, 1.5] * 50)
    made = prepared()
    write("new.csv", size=["29.9", "0.1", "30.1", "-1e6", "", "inf"], day=["2020-01-01"] * 5 + ["2021-01-01"])
    assert read_again(made, "new.csv")[1] == [
        "size has 1 missing value and training had none: taken as the mean",
        "day has 1 value far outside those of training, 2020-01-01 to 2020-04-09: 2021-01-01",
        "size has 3 values far outside those of training, 10 to 20: inf",
    ]


def stores(count: int) -> list[int]:
    return [101 + i % count for i in range(20 * count)]


@pytest.mark.parametrize("count", [5, 32, 33, 500])
@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_new_categories_are_counted_however_many_there_were(count: int, end: str) -> None:
    write("t.csv", store=stores(count), y=np.arange(20.0 * count))
    made = prepared(types={"store": "category"})
    write(f"new.{end}", store=[*stores(count), 7, 7, 9])
    raw, warnings = read_again(made, f"new.{end}")
    assert warnings == ["store has categories not seen in training, treated as other (3 values): 7, 9"]
    assert raw[-3:, 0].tolist() == ([32.0] * 3 if count > 32 else [-1.0] * 3)
    assert rows_of(made)[0][:, 0].tolist() == raw[:-3, 0].tolist()


@pytest.mark.parametrize("count", [5, 500])
def test_a_number_spelled_as_a_float_is_the_same_category_and_that_is_said(count: int) -> None:
    whole, floats = stores(count), [f"{store}.0" for store in stores(count)]
    write("int.csv", store=whole, y=np.arange(20.0 * count))
    write("float.csv", store=floats, y=np.arange(20.0 * count))
    write("float.parquet", store=np.array(whole, dtype=float), y=np.arange(20.0 * count))
    for trained, new in (("int.csv", "float.csv"), ("float.csv", "int.csv"), ("int.csv", "float.parquet")):
        made = prepared(trained, types={"store": "category"})
        raw, warnings = read_again(made, new)
        np.testing.assert_array_equal(raw[:, 0], rows_of(made)[0][:, 0])
        spelled = f"store is written in another way than in training ({20 * count:,} values): "
        assert [text[: len(spelled)] for text in warnings] == ([spelled] if new.endswith("csv") else [])
    write("version.csv", store=["1", "1.1", "2"] * 20, y=np.arange(60.0))
    write("new.csv", store=["1.0", "2"])
    warnings = read_again(prepared("version.csv", types={"store": "category"}), "new.csv")[1]
    assert warnings == ["store has categories not seen in training, treated as other (1 value): 1.0"]


def test_booleans_are_the_same_in_any_spelling() -> None:
    write("t.csv", open=["True", "False", "True"] * 20, y=np.arange(60.0))
    write("new.parquet", open=[False, True])
    raw, warnings = read_again(prepared(), "new.parquet")
    assert (raw[:, 0].tolist(), warnings) == ([1.0, 0.0], [])


def test_ids_beyond_those_that_are_counted_are_still_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainer.data.tabular.fitting.MOST_COUNTED", 50)
    write("t.csv", id=[f"id {i}" for i in range(200)], x=range(200), y=np.arange(200.0))
    assert "left out: id (text, all different)" in prepared().notes
    write("t.csv", id=[f"id {i // 2}" for i in range(200)], x=range(200), y=np.arange(200.0))
    made = prepared()
    write("t.csv", id=["id 99", "new"], x=[1, 2])
    assert read_again(made, "t.csv")[1] == []  # what came after the first 50 is not known


def test_a_folder_of_version_0_1_0_has_neither_ranges_nor_rare_categories() -> None:
    write("t.csv", store=stores(40), x=range(800), y=np.arange(800.0))
    preprocessing.write(Path(), prepared(types={"store": "category"}).preprocessing)
    path = Path("preprocessing.json")
    data = json.loads(path.read_text())
    del data["checksum"]
    for key in ("decimal", "thousands", "dates"):
        del data["table"][key]
    for column in data["table"]["columns"]:
        del column["low"], column["high"]
    path.write_text(json.dumps(data))
    old = preprocessing.read(Path(), torch.float32)
    assert old.table.dialect == Table("t.csv", "y").dialect
    assert old.table.columns[1].low is None


@pytest.mark.slow
def test_predict_and_eval_warn_on_stderr(tmp_path: Path, cli: Cli) -> None:
    write("t.csv", store=stores(40), x=range(800), y=np.arange(800.0))
    words = ["dataset=table", "dataset.path=t.csv", "dataset.target=y", "dataset.types={store: category}"]
    done = cli("train", *words, "epochs=2", "report=false")
    assert done.returncode == 0, done.stderr
    write("new.csv", store=[7, *stores(40)[1:]], x=[1e9, *range(799)], y=np.arange(800.0))
    expected = [
        "warning: store has categories not seen in training, treated as other (1 value): 7",
        "warning: x has 1 value far outside those of training, 0 to 799: 1e+09",
    ]
    for command in (("eval", "latest", "dataset.path=new.csv"), ("predict", "latest", "new.csv")):
        done = cli(*command)
        assert (done.returncode, done.stderr.splitlines()) == (0, expected)


LABELS = ("dataset=table", "dataset.path=t.csv", "dataset.target=y", "report=false", "epochs=1", "threads=1")


def labels_file(path: str, label: str, city: str = "Oslo", num_rows: int = 60) -> None:
    x = np.random.default_rng(0).normal(size=num_rows).round(6).tolist()
    write(
        path,
        x=x,
        city=[["Rome", city][i % 2] for i in range(num_rows)],
        y=[label % (1 + i % 2) for i in range(num_rows)],
    )


def test_labels_match_by_their_words(capsys: pytest.CaptureFixture[str]) -> None:
    """01 is not the class 1, unless that is typed; 1.0 is."""
    for path, label in (("t.csv", "%d"), ("padded.csv", "0%d"), ("points.csv", "%d.0")):
        labels_file(path, label)
    assert main(["train", *LABELS]) == 0
    capsys.readouterr()
    assert main(["eval", "latest", "dataset.path=padded.csv"]) == 2
    said = capsys.readouterr()
    assert "padded.csv: the run does not know the y 01 (30 rows), 02 (30 rows); its classes are 1, 2" in said.err
    assert "try: 'dataset.types={y: number}'\n" in said.err
    told = []
    for words in (["dataset.path=padded.csv", "dataset.types={y: number}"], ["dataset.path=points.csv"]):
        assert main(["eval", "latest", *words]) == 0
        told.append(capsys.readouterr().out.splitlines()[2:])
    assert told[0] == told[1]
    Path("odd.csv").write_text(Path("t.csv").read_text() + "1,Rome,7\r\n2,Rome,7\r\n")
    assert main(["eval", "latest", "dataset.path=odd.csv"]) == 2
    assert "the run does not know the y 7 (2 rows); its classes are 1, 2" in capsys.readouterr().err
    assert main(["train", *LABELS, "dataset.val_path=padded.csv"]) == 2
    assert "y holds 01 and numbers that do not begin with 0" in capsys.readouterr().err


def test_own_splits_name_categories_and_rows_as_other_files_do(capsys: pytest.CaptureFixture[str]) -> None:
    labels_file("t.csv", "%d")
    labels_file("val.csv", "%d", city="Bonn", num_rows=40)
    unseen = "city has categories not seen in training, treated as other (20 values): Bonn"
    assert main(["train", *LABELS, "dataset.val_path=val.csv"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert f"warning {unseen}" in said
    assert "20 of 40 validation rows (50.0%) are among the training rows too" in said  # those of Rome
    assert main(["eval", "latest"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "warning: 20 of these 40 rows are equal to rows that were trained on",
        f"warning: {unseen}",
    ]


def test_a_column_that_only_counts_the_rows_is_named() -> None:
    chance = np.random.default_rng(0)
    numbers, y = chance.permutation(200) + 17, chance.normal(size=200)
    for end in ("csv", "parquet"):
        write(f"t.{end}", id=numbers.tolist(), x=chance.normal(size=200).tolist(), y=y.tolist())
        made = Table(f"t.{end}", "y").prepare({"val_fraction": 0.25}, torch.float32, None)
        assert "only counts the rows: id; to leave it out:" in made.notes
        assert "'dataset.drop=[id]'" in made.notes
        assert (
            "'dataset.drop=[id]'"
            not in Table(f"t.{end}", "y", drop=["id"]).prepare({"val_fraction": 0.25}, torch.float32, None).notes
        )
        for place, value in ((3, int(numbers[4])), (5, 1000), (7, 20.5)):  # twice, a gap, not whole
            odd = [*numbers.tolist()[:place], value, *numbers.tolist()[place + 1 :]]
            write(f"odd.{end}", id=[float(number) for number in odd], x=y.tolist()[::-1], y=y.tolist())
            assert not any("only counts" in note for note in prepared(f"odd.{end}").notes)


def test_the_column_of_groups_is_no_input_unless_its_type_is_typed() -> None:
    chance = np.random.default_rng(0)
    write(
        "t.csv",
        who=[f"p{i % 20}" for i in range(200)],
        x=chance.normal(size=200).tolist(),
        y=chance.normal(size=200).tolist(),
    )
    for types, names in ((None, ["x"]), ({"who": "category"}, ["who", "x"])):
        made = Table("t.csv", "y", split="group", split_by="who", types=types).prepare(
            {"val_fraction": 0.2, "split_seed": 3}, torch.float32, None
        )
        assert [column.name for column in made.preprocessing.table.columns] == names
        assert ("left out: who (names the groups)" in made.notes) is (types is None)
        assert "validation: about 20% of the rows, whole groups by who (split_seed 3)" in made.notes


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({}, "validation: 20% of the rows, drawn at random (split_seed 0)"),
        ({"split": "stratified"}, "validation: 20% of the rows of each class, drawn at random (split_seed 0)"),
        ({"split": "time", "split_by": "x"}, "validation: the latest 20% of the rows by x"),
        ({"split": "column", "split_by": "part"}, "validation: the rows that part names"),
        ({"val_path": "t.csv"}, "validation: files of their own"),
    ],
)
def test_the_header_says_which_rows_validate(keys: dict[str, Any], line: str) -> None:
    write("t.csv", x=[i / 7 for i in range(60)], part=["train", "val"] * 30, y=["a", "b", "b"] * 20)
    assert line in Table("t.csv", "y", **keys).prepare({"val_fraction": 0.2}, torch.float32, None).notes
