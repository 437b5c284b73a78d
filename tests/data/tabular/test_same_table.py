"""The same table is the same, whichever file holds it: CSV, gzip, Parquet of three writers, several files, any order of
rows. What is fitted is compared with Python's exact `statistics`, and rows with numpy."""

import csv
import datetime
import decimal
import gzip
import math
import statistics
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import torch
from conftest import Cli
from hypothesis import given, settings
from hypothesis import strategies as st
from table_rows import rows_of

from trainer.data.preprocessing import Preprocessing
from trainer.data.table import Table
from trainer.data.tabular.conversion import shortest
from trainer.errors import ConfigError

EPOCH = datetime.date(1970, 1, 1)
CITIES = ["Oslo", "Rome", "Bonn, am Rhein", 'the "Hook"', "07"]
LABELS = ["01", "1", "1.10", "1.1", "1_2", "12", "1000000000000000001", "1000000000000000002", "yes"]


@st.composite
def tables(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Columns of Python values, None for a hole: a number far from 0, whole numbers, cities, dates, labels of text."""
    num_rows = draw(st.integers(30, 60))
    chance = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    offset, spread = 10.0 ** draw(st.integers(0, 12)), 10.0 ** draw(st.integers(-3, 3))
    first = draw(st.sampled_from([-135_000, -1, 10_000, 2_900_000]))  # days: 1600, 1969, 1997, 9909

    def holes(values: list[Any]) -> list[Any]:
        holed = draw(st.booleans())
        return [None if holed and chance.random() < 0.2 else value for value in values]

    return {
        "number": holes((offset + spread * chance.normal(size=num_rows)).tolist()),
        "whole": holes(chance.integers(-(10 ** draw(st.integers(1, 17))), 1000, num_rows).tolist()),
        "city": holes([CITIES[i] for i in chance.integers(0, len(CITIES), num_rows)]),
        "day": holes([EPOCH + datetime.timedelta(int(first + d)) for d in chance.integers(0, 1000, num_rows)]),
        "label": [LABELS[i] for i in chance.integers(0, draw(st.integers(2, len(LABELS))), num_rows)],
        "part": ["val" if chance.random() < 0.3 else "train" for _ in range(num_rows)],
    }


def write_csv(path: Path, table: dict[str, list[Any]]) -> None:
    with (gzip.open if path.suffix == ".gz" else open)(path, "wt", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows([["" if v is None else v for v in row] for row in zip(*table.values(), strict=True)])


def write_parquet(path: Path, table: dict[str, list[Any]], size: int) -> None:
    pa.parquet.write_table(pa.table(table), path, row_group_size=size)


def rows(table: dict[str, list[Any]], order: Any) -> dict[str, list[Any]]:
    return {name: [values[i] for i in order] for name, values in table.items()}


def fitted(path: Any, target: str = "label", **keys: Any) -> tuple[Preprocessing, torch.Tensor, torch.Tensor]:
    """The preprocessing, and x and y of the training rows."""
    keys = {"split": "column", "split_by": "part", **keys}
    prepared = Table(str(path), target, **keys).prepare({"val_fraction": 0.2}, torch.float32, None)
    return prepared.preprocessing, *rows_of(prepared)


def same(one: Any, other: Any) -> None:
    """To the bit: columns, categories, classes, offsets and scales, and the training rows."""
    (a, x, y), (b, other_x, other_y) = one, other
    assert a.facts == b.facts
    assert a.table == b.table
    assert torch.equal(a.x.mean, b.x.mean)
    assert torch.equal(a.x.std, b.x.std)
    assert torch.equal(x.nan_to_num(1e9), other_x.nan_to_num(1e9))
    assert torch.equal(y, other_y)


def worth(number: Any) -> float:
    return float((number - EPOCH).days) if isinstance(number, datetime.date) else float(number)


@settings(max_examples=10)
@given(table=tables(), cut=st.integers(1, 29), size=st.integers(1, 60), draw=st.integers(0, 99))
def test_files_and_arrays_in_memory_are_one_table(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, list[Any]], cut: int, size: int, draw: int
) -> None:
    folder, order = tmp_path_factory.mktemp("same"), range(len(table["label"]))
    train = [i for i in order if table["part"][i] == "train"]
    if len({table["label"][i] for i in train}) < len(set(table["label"])) or len(set(table["label"])) < 2:
        return  # a class without a row to train on is refused
    write_csv(folder / "t.csv", table)
    write_csv(folder / "t.csv.gz", table)
    write_parquet(folder / "t.parquet", table, size)
    for number, part in enumerate((order[:cut], order[cut:])):
        write_csv(folder / f"{number}.part.csv", rows(table, part))
        write_parquet(folder / f"{number}.part.parquet", rows(table, part), size)
    made, x, y = whole = fitted(folder / "t.csv", task="classes")
    for name in ("t.csv.gz", "t.parquet", "*.part.csv", "*.part.parquet"):
        same(whole, fitted(folder / name, task="classes"))

    assert [made.facts.classes[i] for i in y] == [table["label"][i] for i in train]
    places = [column.name for column in made.table.columns if column.kind != "category"]
    for index, column in enumerate(made.table.columns):
        values = [table[column.name][i] for i in train]
        if column.kind == "category":
            known = [math.nan if v is None else column.levels.index(v) for v in values]
            np.testing.assert_array_equal(x[:, index], known)
            continue
        numbers = [worth(v) for v in values if v is not None]
        mean, std = statistics.mean(numbers), statistics.pstdev(numbers)  # of exact fractions
        assert float(made.x.mean[places.index(column.name)]) == mean
        assert float(made.x.std[places.index(column.name)]) == pytest.approx(std, rel=1e-12)
        expected = [math.nan if v is None else (worth(v) - mean) / std for v in values]
        np.testing.assert_allclose(x[:, index], np.float32(expected), rtol=1e-6, atol=1e-7)

    shuffled = np.random.default_rng(draw).permutation(len(order))
    write_csv(folder / "shuffled.csv", rows(table, shuffled))
    other, other_x, other_y = fitted(folder / "shuffled.csv", task="classes")
    assert (other.facts, other.table) == (made.facts, made.table)
    assert torch.equal(other.x.mean, made.x.mean)
    np.testing.assert_allclose(other.x.std, made.x.std, rtol=1e-12)
    back = [train.index(i) for i in shuffled if i in set(train)]
    assert torch.equal(other_y, y[back])
    np.testing.assert_allclose(other_x, x[back], rtol=1e-6, atol=1e-7)


def test_means_and_spreads_are_exact_at_any_offset_and_size() -> None:
    from trainer.data.tabular.fitting import CHUNK, Moments

    for offset in (0.0, 1e6, 1e12, 1e15):
        values = offset + np.random.default_rng(3).normal(size=3 * CHUNK + 5)
        exact = statistics.mean(values.tolist()), statistics.pstdev(values.tolist())
        spreads = []
        for pieces in ([values], np.array_split(values, 7), np.split(np.sort(values), [1, 2, 9000])):
            moments = Moments()
            for piece in pieces:
                moments.add(piece)
            moments.close()
            assert moments.mean == exact[0]
            assert moments.std == pytest.approx(exact[1], rel=1e-12)
            spreads.append(moments.std)
        assert spreads[0] == spreads[1]  # the same values in the same order, cut in another way


# --- what other libraries write

DAY = datetime.datetime(2020, 1, 2, 3, 4, 5, 123456)
TEXTS = ["x", "y", "x", "x, y", "y", "z"]


def of_pandas(folder: Path) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {
            "i8": np.arange(6, dtype="int8"), "u64": np.arange(6, dtype="uint64") + 2**63,
            "i": pandas.array([1, None, 3, 2**53 + 1, 5, 6], dtype="Int64"),
            "f2": np.array([0.1, 2, 3, 4, 5, 6.5], "float16"), "f4": np.array([0.1, 1e9, -3e-7, 4, 5, 6.5], "float32"),
            "f8": [1e-5, 1e20, 0.1 + 0.2, math.nan, -1.5, 2.0], "bool": [True, False, True, True, False, True],
            "time": pandas.to_datetime([DAY] * 5 + [None]) + pandas.to_timedelta(range(6), unit="h"),
            "zone": pandas.to_datetime([DAY] * 6).tz_localize("Europe/Berlin") + pandas.to_timedelta(range(6)),
            "ns": (pandas.to_datetime([DAY] * 6) + pandas.to_timedelta(range(6), unit="ns")).as_unit("ns"),
            "day": [datetime.date(1600 + 1600 * i, 12, 31) for i in range(5)] + [datetime.date(9999, 12, 31)],
            "clock": [datetime.time(i, 30) for i in (9, 10, 9, 11, 12, 9)], "text": TEXTS, "digits": list("121323"),
            "category": pandas.Categorical(TEXTS), "codes": pandas.Categorical([3, 4, 3, 3, 5, 4]), "none": [None] * 6,
            "y": np.array([1.0, 2.0, 1.0, 2.0, 1.0, 1.0]),
        }
    )  # fmt: skip
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_parquet(folder / "t.parquet")
    frame.set_index(np.arange(6) + 7).to_parquet(folder / "index.parquet")
    frame.set_index(np.arange(6) + 7).to_csv(folder / "index.csv")
    frame.set_index(pandas.Index(np.arange(6), name="i6")).to_parquet(folder / "named.parquet")


def of_polars(folder: Path) -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(
        {
            "i8": polars.Series(range(6), dtype=polars.Int8), "u64": polars.Series([2**63 + i for i in range(6)]),
            "f4": polars.Series([0.1, 1e9, -3e-7, 4, 5, 6.5], dtype=polars.Float32),
            "f8": [1e-5, 1e20, 0.1 + 0.2, None, -1.5, 2.0], "bool": [True, False, None, True, False, True],
            "decimal": [decimal.Decimal(f"{i}.50") for i in range(6)],
            "time": [DAY + datetime.timedelta(i) for i in range(6)],
            "ms": polars.Series([DAY + datetime.timedelta(i) for i in range(6)], dtype=polars.Datetime("ms")),
            "ns": polars.Series([DAY + datetime.timedelta(i) for i in range(6)], dtype=polars.Datetime("ns")),
            "day": [datetime.date(1600 + 1600 * i, 12, 31) for i in range(5)] + [datetime.date(9999, 12, 31)],
            "clock": [datetime.time(i, 30) for i in (9, 10, 9, 11, 12, 9)],
            "category": polars.Series(TEXTS, dtype=polars.Categorical), "text": TEXTS, "none": [None] * 6,
            "enum": polars.Series(TEXTS, dtype=polars.Enum(sorted(set(TEXTS)))), "y": [1, 2, 1, 2, 1, 1],
        }
    )  # fmt: skip
    frame = frame.with_columns(polars.col("time").dt.replace_time_zone("Europe/Berlin").alias("zone"))
    frame.write_csv(folder / "t.csv")
    frame.write_parquet(folder / "t.parquet")


def of_arrow(folder: Path) -> None:
    times = [DAY + datetime.timedelta(i) for i in range(6)]
    columns: dict[str, Any] = {
        f"{t}": pa.array(range(6), t) for t in (pa.int16(), pa.uint32(), pa.uint64(), pa.int64())
    }
    columns |= {f"time-{u}": pa.array(times, pa.timestamp("us")).cast(pa.timestamp(u), safe=False) for u in ("s", "ns")}
    columns |= {
        "f4": pa.array([0.1, 1e9, -3e-7, None, 5, 6.5], pa.float32()), "f8": pa.array([1e-5, 1e20, 0.3, None, 5, 2]),
        "bool": pa.array([True, False, None, True, False, True]), "large": pa.array(TEXTS, pa.large_string()),
        "view": pa.array(TEXTS, pa.string_view()), "dictionary": pa.array(TEXTS).dictionary_encode(),
        "codes": pa.array([3, 4, 3, 3, 5, 4]).dictionary_encode(), "none": pa.nulls(6),
        "decimal": pa.array([decimal.Decimal(f"{i}.50") for i in range(6)], pa.decimal128(9, 2)),
        "date32": pa.array([datetime.date(1600 + 1600 * i, 12, 31) for i in range(5)] + [None], pa.date32()),
        "date64": pa.array([datetime.date(1900 + i, 12, 31) for i in range(6)], pa.date64()),
        "zone": pa.array(times, pa.timestamp("us", "America/New_York")), "y": pa.array([1.0, 2.0, 1.0, 2.0, 1.0, 1.0]),
        "clock": pa.array([datetime.time(i, 30) for i in (9, 10, 9, 11, 12, 9)], pa.time64("us")),
    }  # fmt: skip
    pa.parquet.write_table(pa.table(columns), folder / "t.parquet")
    columns |= {name: columns[name].cast(pa.string()) for name in ("dictionary", "codes", "view")}
    pa.csv.write_csv(pa.table(columns), folder / "t.csv")


@pytest.mark.optional
@pytest.mark.parametrize("write", [of_pandas, of_polars, of_arrow])
def test_csv_and_parquet_of_a_writer_are_one_table(tmp_path: Path, write: Callable[[Path], None]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of libraries about each other
        write(tmp_path)
    types = {"text": "category"} | ({"digits": "category", "codes": "category"} if write is of_pandas else {})
    keys: dict[str, Any] = {"split": "random", "split_by": None, "types": {} if write is of_arrow else types}
    one, other = (fitted(tmp_path / f"t.{end}", "y", **keys) for end in ("csv", "parquet"))
    spelled = {"True": "true", "False": "false", "09:30:00.000000000": "09:30:00", "09:30:00.000000": "09:30:00"}
    for a, b in zip(one[0].table.columns, other[0].table.columns, strict=True):
        assert (a.name, a.kind, a.low, a.high) == (b.name, b.kind, b.low, b.high)
        shorter = [level.removesuffix(".000000000").removesuffix(".000000") for level in a.levels]
        assert tuple(spelled.get(level, level) for level in shorter) == b.levels, a.name
    assert one[0].facts == other[0].facts
    assert one[0].facts.classes == ["1", "2"]
    assert torch.equal(one[0].x.mean, other[0].x.mean)
    assert torch.equal(one[0].x.std, other[0].x.std)
    assert torch.equal(one[1].nan_to_num(1e9), other[1].nan_to_num(1e9))
    assert "none" not in [column.name for column in one[0].table.columns]
    for name in ("index.parquet", "index.csv", "named.parquet") if write is of_pandas else ():
        same(other if "parquet" in name else one, fitted(tmp_path / name, "y", **keys))


@pytest.mark.parametrize("odd", [pa.list_(pa.int64()), pa.struct({"a": pa.int64()}), pa.binary(), pa.duration("us")])
def test_types_that_are_neither_are_refused_unless_dropped(tmp_path: Path, odd: Any) -> None:
    pa.parquet.write_table(pa.table({"a": range(50), "y": [0.5, 1.5] * 25, "odd": pa.nulls(50, odd)}), "t.parquet")
    with pytest.raises(ConfigError, match=r"column 'odd' is .*, which is neither a number, a date nor text") as caught:
        fitted("t.parquet", "y", split="random", split_by=None)
    assert caught.value.hint == "'dataset.drop=[odd]'"
    assert len(fitted("t.parquet", "y", split="random", split_by=None, drop=["odd"])[1]) == 40


def test_a_float32_means_its_shortest_text() -> None:
    chance = np.random.default_rng(0)
    sizes = 10.0 ** chance.integers(-37, 38, 20_000)
    values = np.float32([*(chance.normal(size=20_000) * sizes), *np.round(chance.normal(size=999) * 1e4, 2)])
    values = np.append(values, np.float32([0, -0.0, math.inf, -math.inf, math.nan, 1e-45, 3.4e38, 16777217, 1e10]))
    np.testing.assert_array_equal(shortest(values), [float(str(value)) for value in values])


@pytest.mark.slow
def test_every_file_trains_the_same_weights_and_gets_the_same_predictions(tmp_path: Path, cli: Cli) -> None:
    chance = np.random.default_rng(5)
    number, city = 1e6 + chance.normal(size=400), [CITIES[i] for i in chance.integers(0, 5, 400)]
    table = {
        "number": number.tolist(), "city": city, "day": [EPOCH + datetime.timedelta(int(d)) for d in number * 3 % 9000],
        "flag": [None if v % 1 < 0.1 else v % 1 < 0.5 for v in number],
        "label": [LABELS[int(v * 7) % 4 + 2 * (c == "Oslo")] for v, c in zip(number, city, strict=True)],
    }  # fmt: skip
    texts = {**table, "flag": [v if v is None else str(v).lower() for v in table["flag"]]}
    write_csv(tmp_path / "t.csv.gz", texts)
    write_parquet(tmp_path / "t.parquet", table, 130)
    for name, part in (("1.part", range(150)), ("2.part", range(150, 400))):
        write_csv(tmp_path / f"{name}.csv", rows(texts, part))
    found = []
    for name in ("t.csv.gz", "t.parquet", "*.part.csv"):
        words = ["dataset=table", f"dataset.path='{name}'", "dataset.target=label", "dataset.task=classes"]
        done = cli("train", *words, "epochs=3", "report=false")
        assert done.returncode == 0, done.stderr
        done = cli("predict", "latest", "t.parquet")
        assert (done.returncode, done.stderr) == (0, "")
        (run,) = (tmp_path / "outputs" / "latest").resolve().glob("model.safetensors")
        evaluated = cli("eval", "latest", f"dataset.path='{name}'")
        found.append((run.read_bytes(), done.stdout, evaluated.stdout.splitlines()[2:], evaluated.stderr))
    assert found[0] == found[1] == found[2]
