"""A split holds back what it says, or says why it cannot."""

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Cli

from trainer.data.roles import TRAIN, VAL
from trainer.data.table import Prepared, Table
from trainer.errors import ConfigError

ROWS = 100
COLUMNS: dict[str, list[Any]] = {
    "x": list(range(ROWS)),
    "city": ["Oslo", "Rome", "Bonn", "Rome"] * 25,
    "day": [datetime.date(2020, 1, 1) + datetime.timedelta(i * 7 % ROWS) for i in range(ROWS)],
    "time": [i * 7 % ROWS + 0.5 for i in range(ROWS)],
    "same": [7] * ROWS,
    "half": [f"h{i % 2}" for i in range(ROWS)],
    "all": ["one"] * ROWS,
    "part": ["val" if i % 5 == 0 else "test" if i % 5 == 1 else "train" for i in range(ROWS)],
    "never": ["train"] * ROWS,
    "number": [i * 1.5 for i in range(ROWS)],
    "label": ["a", "b"] * 50,
}


def write(path: str, columns: dict[str, list[Any]], num_rows: int = ROWS) -> None:
    rows = list(zip(*columns.values(), strict=True))[:num_rows]
    Path(path).write_text(",".join(columns) + "\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))


def prepared(target: str = "label", fraction: float = 0.2, num_rows: int = ROWS, **keys: Any) -> Prepared:
    write("t.csv", COLUMNS, num_rows)
    return Table("t.csv", target, **keys).prepare({"val_fraction": fraction}, torch.float32, None)


REFUSED = {  # target, keys, message, hint
    "classes of a number": ("number", {"split": "stratified"},
                            "stratified holds back 0 rows, .* asks for 20: most values", "dataset.split=random"),
    "one group": ("label", {"split": "group", "split_by": "all"},
                  "group holds back 0 rows, .* asks for 20: the groups of 'all' are too large", None),
    "two large groups": ("label", {"split": "group", "split_by": "half"}, "holds back 0 rows", None),
    "one time": ("label", {"split": "time", "split_by": "same"}, "all rows have the same time", "dataset.split=random"),
    "text as time": ("label", {"split": "time", "split_by": "city", "drop": ["city"]}, "neither numbers nor dates",
                     None),
    "a wrong type of time": ("label", {"split": "time", "split_by": "city", "types": {"city": "date"}},
                             r"t.csv line 2 column 2 \(city\): 'Oslo' is not a date", None),
    "val twice": ("label", {"split": "column", "split_by": "part", "val_path": "v.csv"},
                  "dataset.val_path names a file, but column 'part' names 20 rows val too", "dataset.val_path=null"),
    "an empty file": ("label", {"val_path": "empty.csv"}, "empty.csv has no row with a label", None),
    "the target dropped": ("label", {"drop": ["label"]}, "dataset.drop names the target label", None),
    "a target twice": (["x", "x"], {}, "names a column twice", None),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_a_split_that_cannot_hold_back_what_it_should_is_refused(name: str) -> None:
    target, keys, message, hint = REFUSED[name]
    write("v.csv", COLUMNS, 10)
    write("empty.csv", COLUMNS, 0)
    with pytest.raises(ConfigError, match=message) as caught:
        prepared(target, **keys)
    assert hint is None or caught.value.hint == hint


WARNED = {
    "a fraction of few": ("number", 0.2, 4, {}, "no row validates: dataset.val_fraction=0.2 is less than one row"),
    "the same by class": ("label", 0.1, 8, {"split": "stratified"}, "no row validates: dataset.val_fraction=0.1 is"),
    "the same by time": ("number", 0.2, 4, {"split": "time", "split_by": "day"}, "no row validates: dataset.val_"),
    "one row": ("number", 0.2, 9, {}, "only one row validates, too few for R²"),
    "a column without the word": ("label", 0.2, ROWS, {"split": "column", "split_by": "never"},
                                  "no row validates: column 'never' never says val"),
    "a file as well": ("label", 0.2, ROWS, {"split": "group", "split_by": "half", "val_path": "v.csv"},
                       "dataset.split=group is not used: dataset.val_path names the rows that validate"),
}  # fmt: skip


@pytest.mark.parametrize("name", WARNED)
def test_a_split_that_holds_back_little_is_named(name: str) -> None:
    target, fraction, num_rows, keys, text = WARNED[name]
    write("v.csv", COLUMNS, 10)
    (warning,) = prepared(target, fraction, num_rows, **keys).warnings
    assert warning[0].startswith(text)


@pytest.mark.parametrize("drop", [[], ["by"]])
@pytest.mark.parametrize(
    ("split", "by"),
    [("time", "day"), ("time", "time"), ("group", "city"), ("group", "x"), ("stratified", None), ("column", "part")],
)
def test_every_split_holds_back_its_share_also_by_a_column_that_is_dropped(
    split: str, by: str | None, drop: list[str]
) -> None:
    keys = {"split": split, "split_by": by, "drop": [by or "x" for _ in drop]}
    made = prepared(**keys)
    roles = made.parts[TRAIN].roles
    assert 15 <= made.parts[VAL].num_rows <= 30
    assert made.warnings == []
    if split == "time":
        order = np.argsort(COLUMNS[by], kind="stable")
        assert set(np.flatnonzero(roles == 1)) == set(order[-20:])
    assert (by in [column.name for column in made.preprocessing.table.columns]) == (
        not drop and split not in ("column", "group") and by is not None
    )
    again = Table("t.csv", "label", **keys).prepare(
        {"val_fraction": 0.2}, torch.float32, made.preprocessing
    )  # as `eval` does
    assert np.array_equal(again.parts[TRAIN].roles, roles)


@pytest.mark.slow
def test_one_row_and_a_dropped_time_by_the_command_line(tmp_path: Path, cli: Cli) -> None:
    write("t.csv", COLUMNS)
    words = ["dataset=table", "dataset.path=t.csv", "dataset.target=number", "epochs=1", "report=false"]
    done = cli("train", *words, "dataset.split=stratified")
    assert (done.returncode, "try: dataset.split=random" in done.stderr) == (2, True), done.stderr
    done = cli("train", *words, "dataset.split=time", "dataset.split_by=time", "dataset.drop=[time]")
    assert done.returncode == 0, done.stderr
    assert cli("eval", "latest").returncode == 0
    write("t.csv", COLUMNS, 9)
    done = cli("train", *words)
    assert "warning  only one row validates, too few for R²" in done.stdout
