"""What a target's values become: classes in the words of the data, or numbers."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from conftest import config
from hypothesis import given
from hypothesis import strategies as st
from table_rows import rows_of

from trainer.build.build import build
from trainer.data.roles import TRAIN
from trainer.data.table import Table
from trainer.data.tabular.targets import in_order
from trainer.errors import ConfigError


def write(path: str, labels: list[Any], num_rows: int = 300) -> list[str]:
    """A table in which each label occurs about equally often; the labels of its rows, as text."""
    chosen = [labels[i % len(labels)] for i in range(num_rows)]
    x = [float(i) for i in range(num_rows)]
    if path.endswith(".parquet"):
        values = chosen if isinstance(chosen[0], (str, bool, int, float)) else pa.array(chosen)
        pa.parquet.write_table(pa.table({"x": x, "label": values}), path)
    else:
        Path(path).write_text("x,label\n" + "".join(f"{a},{b}\n" for a, b in zip(x, chosen, strict=True)))
    return [str(value) for value in chosen]


def learned(path: str, **keys: Any) -> tuple[list[str] | None, list[str]]:
    """The names of the classes, and those of the training rows."""
    prepared = Table(path, "label", **keys).prepare({}, torch.float32, None)
    classes, (_, y) = prepared.preprocessing.facts.classes, rows_of(prepared)
    assert classes is None or prepared.preprocessing.facts.class_counts == tuple(np.bincount(y, minlength=len(classes)))
    return classes, [classes[i] for i in y] if classes is not None else y[:, 0].tolist()


@pytest.mark.parametrize("end", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("task", "labels"),  # in the order of the classes
    [
        ("auto", ["01", "1", "10"]),
        ("classes", ["10", "2", "1", "01"]),
        ("classes", ["1.1", "1.10", "1.2", "beta"]),
        ("classes", ["12", "1_2", "other"]),
        ("auto", ["1000000000000000001", "1000000000000000002", "2000000000000000003"]),
        ("auto", ["-3", "0", "2", "10"]),
        ("classes", ["1", "1.0", "1e0", "+1"][::-1]),
    ],
)
def test_different_labels_are_different_classes_in_the_words_of_the_data(
    task: str, labels: list[str], end: str
) -> None:
    expected = write(f"t.{end}", labels)
    classes, rows = learned(f"t.{end}", task=task)
    assert sorted(classes) == sorted(labels)
    assert classes == sorted(labels, key=in_order)
    assert rows == expected


@given(st.lists(st.text("0123456789.e_-ax", min_size=1, max_size=6), min_size=2, max_size=30, unique=True))
def test_numbers_come_first_and_in_order(names: list[str]) -> None:
    ordered = sorted(names, key=in_order)
    numbers = [float(name) for name in ordered if not in_order(name)[0]]
    texts = [name for name in ordered if in_order(name)[0]]
    assert ordered[len(numbers) :] == texts == sorted(texts)
    assert numbers == sorted(numbers)


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, 2, 3], pa.int8()), pa.array([1, 2, 3], pa.uint64()), pa.array([1, 2, 3], pa.float16()),
        pa.array([1, 2, 3], pa.float32()), pa.array([1.0, 2.0, 3.0]), pa.array(["1", "2.0", "3e0"]),
        pa.array(["1", "2", "3"]).dictionary_encode(), pa.array(["1.00", "2.00", "3.00"]).cast(pa.decimal128(9, 2)),
    ],
)  # fmt: skip
def test_whole_numbers_are_the_same_classes_whatever_their_type(values: Any) -> None:
    labels = pa.chunked_array([values] * 50).combine_chunks()
    pa.parquet.write_table(pa.table({"x": np.arange(150.0), "label": labels}), "t.parquet")
    write("t.csv", ["1", "2.0", "3e0"], 150)
    assert learned("t.parquet") == learned("t.csv") == (["1", "2", "3"], ["1", "2", "3"] * 50)


@pytest.mark.parametrize(
    ("labels", "task", "classes"),
    [
        (list(range(20)), "auto", [str(i) for i in range(20)]),
        (list(range(21)), "auto", None),
        ([0.5, 1.0], "auto", None),
        ([True, False], "auto", ["false", "true"]),
        ([1.5, 2.0], "classes", ["1.5", "2"]),
        ([datetime.date(2020, 1, 2), datetime.date(2019, 3, 4)], "auto", ["2019-03-04", "2020-01-02"]),
    ],
)
def test_the_task_follows_from_the_values(labels: list[Any], task: str, classes: list[str] | None) -> None:
    write("t.parquet", labels)
    assert learned("t.parquet", task=task)[0] == classes
    if not isinstance(labels[0], float) or task == "auto":  # 2.0 is 2 as a number of Parquet, and 2.0 as a text of CSV
        write("t.csv", [str(value).lower() for value in labels])
        assert learned("t.csv", task=task)[0] == classes


def test_spellings_of_one_number_count_as_one_class() -> None:
    """scikit-learn's formula for balanced weights, rows / (classes · rows of the class)."""
    write("t.csv", ["1", "1.0", "2", "1.00"], 100)
    words = ["dataset=table", "dataset.path=t.csv", "dataset.target=label", "dataset.val_fraction=0"]
    run, setup = build(config(*words, "loss.weight=balanced"))
    assert setup.splits.facts.class_counts == (75, 25)
    assert run.loss_fn.weight.tolist() == pytest.approx([100 / 150, 100 / 50])


def test_classes_of_new_rows_are_found_by_their_words() -> None:
    write("t.csv", ["01", "1"], 100)
    made = Table("t.csv", "label").prepare({}, torch.float32, None)
    write("t.csv", ["1", "01", "1.0"], 99)
    with pytest.raises(ConfigError, match=r"line 4: label '1.0' is not one of the classes 01, 1"):
        rows_of(Table("t.csv", "label").prepare({}, torch.float32, made.preprocessing))


@pytest.mark.parametrize("missing", [["NIL"], ["", "NIL"]])
def test_an_empty_text_is_missing_whatever_else_is(missing: list[str]) -> None:
    Path("t.csv").write_text("city,label\n" + "Oslo,1\nRome,0\n,1\nNIL,0\nOslo,\n" * 20)
    made = Table("t.csv", "label", missing=missing).prepare({}, torch.float32, None)
    (column,) = made.preprocessing.table.columns
    assert (set(column.levels), column.missing) == ({"Oslo", "Rome"}, True)
    assert made.parts[TRAIN].num_rows == 80


@pytest.mark.parametrize("end", ["csv", "parquet"])
def test_a_number_that_means_missing_does_so_in_every_spelling(end: str) -> None:
    size = [1.5, -999.0, 3.0, 7.0] * 25
    if end == "csv":
        Path("t.csv").write_text("size,label\n" + "".join(f"{v},{i % 2}\n" for i, v in enumerate(size)))
    else:
        pa.parquet.write_table(pa.table({"size": size, "label": [0, 1] * 50}), "t.parquet")
    made = Table(f"t.{end}", "label", missing=["-999"]).prepare({}, torch.float32, None).preprocessing
    assert float(made.x.mean) == np.mean([1.5, 3.0, 7.0])
    assert made.table.columns[0].missing
