"""A table of one's own: types, splits, what training rows decide, prediction, evaluation; whole, and by row groups."""

import csv
import datetime
import io
import json
import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from conftest import Cli, config
from own import read_rows
from table_rows import rows_of

from trainer.build.build import build
from trainer.data import preprocessing
from trainer.data.facts import Facts, Spec
from trainer.data.meaning import Meaning
from trainer.data.roles import TEST, TRAIN, VAL
from trainer.data.table import Table
from trainer.data.tabular import row_groups
from trainer.data.tabular.column import Column
from trainer.data.tabular.one_hot import Columns
from trainer.data.tabular.row_groups import RowGroups
from trainer.errors import ConfigError
from trainer.loop import train
from trainer.tasks import losses

NAN = math.nan


def test_a_row_by_hand_becomes_inputs() -> None:
    columns = [
        Column("age", "number", missing=True),
        Column("city", "category", ("Rome", "Oslo"), other=True, missing=True),
        Column("size", "number"),
        Column("kind", "category", ("a", "b")),
    ]
    mean, std = torch.tensor([30.0, 5.0]).double(), torch.tensor([10.0, 2.0]).double()
    x = torch.tensor([[40, 0, 9, 1], [NAN, 2, NAN, -1], [20, NAN, 5, 0]], dtype=torch.float64)
    expected = [
        # age, size, age missing, Rome, Oslo, other, missing, a, b
        [1, 2, 0, 1, 0, 0, 0, 0, 1],
        [0, 0, 1, 0, 0, 1, 0, 0, 0],
        [-1, 0, 0, 0, 0, 0, 1, 1, 0],
    ]
    module = Columns(columns, mean, std, torch.float32)
    assert torch.equal(module(x), torch.tensor(expected, dtype=torch.float32))
    x[1, 2] = 5  # missing, and never so in training: taken as the mean
    assert torch.equal(module.inverse(module(x)).nan_to_num(99), x.nan_to_num(99))
    assert sum(column.width for column in columns) == len(expected[0])
    assert set(module.state_dict()) == {"mean", "std"}


def table(folder: Path, num_rows: int = 300, name: str = "t.csv", **columns: list) -> Path:
    """A CSV of one number with gaps, one category, a date, and a label that depends on them."""
    chance = np.random.default_rng(0)
    size, city = chance.normal(50, 20, num_rows), chance.choice(["Oslo", "Rome", "Bonn"], num_rows)
    day = [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(i)) for i in chance.integers(0, 900, num_rows)]
    label = np.where((size > 50) ^ (city == "Oslo"), "big", "small")
    data = {"size": [f"{v:.3f}" if i % 9 else "" for i, v in enumerate(size)], "city": city, "day": day, **columns}
    path = folder / name
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*data, "label"])
        writer.writerows(zip(*data.values(), label, strict=True))
    return path


WORDS = ("dataset=table", "dataset.path=t.csv", "dataset.target=label", "threads=1")


def test_only_training_rows_are_fitted_on(tmp_path: Path) -> None:
    """Other rows may hold anything: what was fitted stays, to the bit."""
    table(tmp_path)
    before = Table("t.csv", "label").prepare({"val_fraction": 0.3}, torch.float64, None)
    rows = list(csv.reader((tmp_path / "t.csv").read_text().splitlines()))
    for row, role in zip(rows[1:], before.parts[TRAIN].roles, strict=True):
        if role == 1:
            row[0], row[1], row[2] = "1e6", "Kyiv", "1999-01-01"
    (tmp_path / "t.csv").write_text("\n".join(",".join(row) for row in rows))
    after = Table("t.csv", "label").prepare({"val_fraction": 0.3}, torch.float64, None)
    assert torch.equal(before.preprocessing.x.mean, after.preprocessing.x.mean)
    assert torch.equal(before.preprocessing.x.std, after.preprocessing.x.std)
    assert before.preprocessing.table == after.preprocessing.table
    x, _ = rows_of(after)
    assert float(x[:, 0].nanmean().abs()) < 1e-12
    assert rows_of(after, VAL)[0][:, 0].nanmean() > 1000


def test_levels_are_the_most_frequent_of_training_and_the_rest_is_other(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(40) for _ in range(40 - i)]
    text = "".join(f"{name},{i % 2}\n" for i, name in enumerate(names))
    (tmp_path / "t.csv").write_text("city,y\n" + text)
    made = Table("t.csv", "y").prepare({}, torch.float32, None).preprocessing
    (column,) = made.table.columns
    assert column.levels == tuple(f"c{i}" for i in range(32))
    assert column.other
    assert column.width == 33


@pytest.mark.parametrize("split", ["random", "stratified", "group", "time", "column"])
def test_every_split_is_what_it_says(tmp_path: Path, split: str) -> None:
    group = [f"p{i % 40}" for i in range(300)]
    part = [("train", "Train", "val", "test")[i % 4] for i in range(300)]
    table(tmp_path, group=group, part=part)
    by = {"group": "group", "time": "day", "column": "part"}.get(split)
    prepared = Table("t.csv", "label", split=split, split_by=by).prepare(
        {"val_fraction": 0.25, "split_seed": 3}, torch.float32, None
    )
    rows = read_rows(tmp_path / "t.csv")
    of = {
        role: [row for row, r in zip(rows, prepared.parts[TRAIN].roles, strict=True) if r == role] for role in (0, 1, 2)
    }
    assert len(of[0]) + len(of[1]) + len(of[2]) == 300
    if split == "column":
        assert {row["part"] for row in of[0]} == {"train", "Train"}
        assert {row["part"] for row in of[1]} == {"val"}
        assert prepared.parts[TEST].num_rows == len(of[2]) == 75
        assert "part" not in [column.name for column in prepared.preprocessing.table.columns]
    else:
        assert len(of[1]) == pytest.approx(75, abs=8)
    if split == "group":
        assert not {row["group"] for row in of[0]} & {row["group"] for row in of[1]}
    if split == "time":
        assert max(row["day"] for row in of[0]) <= min(row["day"] for row in of[1])
    if split == "stratified":
        shares = [np.mean([row["label"] == "big" for row in of[role]]) for role in (0, 1)]
        assert abs(shares[0] - shares[1]) < 0.01
    if split == "random":
        assert len(of[1]) == 75
        other = Table("t.csv", "label").prepare({"val_fraction": 0.25, "split_seed": 4}, torch.float32, None)
        assert not np.array_equal(other.parts[TRAIN].roles, prepared.parts[TRAIN].roles)


def test_files_of_their_own_validate_and_test(tmp_path: Path) -> None:
    table(tmp_path)
    table(tmp_path, 50, "v.csv")
    table(tmp_path, 20, "w.csv")
    run, setup = build(config(*WORDS, "dataset.val_path=v.csv", "dataset.test_path=w.csv"))
    assert (setup.splits.num_rows("train"), setup.splits.num_rows("val"), setup.splits.num_rows("test")) == (
        300,
        50,
        20,
    )
    assert run.facts.classes == ["big", "small"]


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        (["yes", "no"], "classes", ["no", "yes"]),
        (["2", "10", "1.0"], "classes", ["1", "2", "10"]),
        (["0.5", "1.5"], "numbers", None),
        ([str(i) for i in range(60)], "numbers", None),
    ],
)
def test_the_task_follows_from_the_target(tmp_path: Path, values: list[str], task: str, classes: list[str]) -> None:
    lines = [f"{i},{values[i % len(values)]}\n" for i in range(120)]
    (tmp_path / "t.csv").write_text("a,y\n" + "".join(lines))
    facts = Table("t.csv", "y").prepare({"val_fraction": 0.2}, torch.float32, None).preprocessing.facts
    assert (facts.task, facts.classes) == (task, classes)


def test_types_and_tasks_can_be_set(tmp_path: Path) -> None:
    table(tmp_path, zip=[str(1000 + i % 3) for i in range(300)], grade=[str(i % 5) for i in range(300)])
    words = ["dataset.target=grade", "dataset.types={zip:category}", "dataset.drop=[label]", "dataset.task=numbers"]
    _, setup = build(config(*WORDS[:2], *words))
    made = setup.splits.preprocessing
    assert {column.name: column.kind for column in made.table.columns}["zip"] == "category"
    assert made.facts.classes is None
    assert "label" not in [column.name for column in made.table.columns]
    assert any(line == "left out: label (asked for)" for line in setup.splits.notes)


def test_balanced_weights_are_scikit_learns_formula(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "a,y\n" + "".join(f"{i},{'rare' if i % 10 == 0 else 'often'}\n" for i in range(100))
    )
    words = [
        "dataset=table",
        "dataset.path=t.csv",
        "dataset.target=y",
        "dataset.split=stratified",
        "loss.weight=balanced",
    ]
    run, setup = build(config(*words))
    assert setup.splits.facts.class_counts == (72, 8)
    assert run.loss_fn.weight.tolist() == pytest.approx([80 / (2 * 72), 80 / (2 * 8)])
    assert setup.config.loss["weight"] == pytest.approx([80 / 144, 5.0])
    with pytest.raises(ConfigError, match="targets are numbers"):
        build(config("dataset=diabetes", "loss.weight=balanced"))
    with pytest.raises(ConfigError, match="labels of all training rows"):
        losses.resolve(
            {"_target_": "auto", "weight": "balanced"}, Facts(Spec((1,)), Meaning("classes", "", ["a", "b"], 2))
        )


# --- rows that stay on the disk


def parquet(folder: Path, num_rows: int = 2000, group: int = 100) -> Path:
    chance = np.random.default_rng(1)
    x = chance.normal(3, 2, (num_rows, 3))
    x[::17, 1] = NAN
    city = chance.choice(["a", "b", "c"], num_rows)
    columns = {"row": pa.array(np.arange(num_rows)), "u": x[:, 0], "v": x[:, 1], "city": city}
    columns["y"] = x[:, 0] * 2 + (city == "a") + chance.normal(0, 0.1, num_rows)
    path = folder / "t.parquet"
    pyarrow.parquet.write_table(pa.table(columns), path, row_group_size=group)
    return path


STREAMED = ("dataset=table", "dataset.path=t.parquet", "dataset.target=y", "threads=1", "loader.batch_size=64")


def test_row_groups_and_memory_fit_the_same_numbers_and_hold_the_same_rows(tmp_path: Path) -> None:
    parquet(tmp_path)
    whole, parts = (build(config(*STREAMED, f"loader.in_memory={word}"))[0] for word in ("true", "false"))
    assert isinstance(parts.train_batches.loader, RowGroups)
    assert not isinstance(whole.train_batches.loader, RowGroups)
    assert whole.train_batches.num_rows == parts.train_batches.num_rows == 1600
    x, y = (torch.cat(tensors) for tensors in list(zip(*whole.val_batches, strict=True))[:2])
    other_x, other_y = (torch.cat(tensors) for tensors in list(zip(*parts.val_batches, strict=True))[:2])
    assert torch.equal(x, other_x)
    assert torch.equal(y, other_y)
    rows = [torch.cat([x for window in run.train_batches.windows(2) for x, *_ in window]) for run in (whole, parts)]
    assert not torch.equal(*rows)
    assert torch.equal(*(row[row[:, 0].argsort()] for row in rows))


def test_an_epoch_by_row_groups_begins_anywhere_and_reads_only_what_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parquet(tmp_path)
    monkeypatch.setattr(row_groups, "KEPT", 4 * 80 * 5 * 4)  # four groups of 80 training rows
    batches = build(config(*STREAMED, "loader.in_memory=false"))[0].train_batches
    loader = batches.loader
    read: list[int] = []
    decode = RowGroups._group

    def counted(self: RowGroups, number: int) -> tuple[torch.Tensor, torch.Tensor]:
        if self is loader and number not in self.kept:
            read.append(number)
        found = decode(self, number)
        assert sum(x.numel() + y.numel() for x, y in self.kept.values()) * 4 <= row_groups.KEPT
        return found

    monkeypatch.setattr(RowGroups, "_group", counted)

    def epoch(number: int, first: int = 0) -> list[torch.Tensor]:
        return [x for window in batches.windows(number, first) for x, *_ in window]

    whole = epoch(3)
    assert sorted(read) == list(range(20))  # each group once, although four fit at a time
    assert len(whole) == batches.steps_per_epoch == 25
    assert torch.cat(whole)[:, 0].unique().numel() == 1600
    assert not torch.equal(torch.cat(whole), torch.cat(epoch(4)))
    assert all(torch.equal(a, b) for a, b in zip(whole, epoch(3), strict=True))
    for first in (1, 7, 24):
        loader.kept.clear()
        read.clear()
        windows = batches.windows(3, first)
        (x, *_) = next(iter(next(windows)))
        assert torch.equal(x, whole[first])
        assert len(read) <= 8  # the block of that batch, and the next where it lies in both
        assert all(
            torch.equal(a, b) for a, b in zip(whole[first + 1 :], (x for w in windows for x, *_ in w), strict=True)
        )


def test_rows_are_mixed_across_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet(tmp_path)
    monkeypatch.setattr(row_groups, "KEPT", 4 * 80 * 5 * 4)
    run, _ = build(config(*STREAMED, "loader.in_memory=false", "dataset.types={row:number}"))
    (window, *_) = run.train_batches.windows(0)
    rows = next(iter(window))[0][:, 0]
    assert rows.std() > 0.2  # of an order that is sorted it would be 0.02


@pytest.mark.parametrize("word", ["true", "false"])
def test_both_ways_learn(tmp_path: Path, word: str) -> None:
    parquet(tmp_path)
    run, _ = build(config(*STREAMED, f"loader.in_memory={word}", "epochs=8", "optimizer.lr=0.01"))
    last = [event.metrics["val/r2"] for event in train(run) if hasattr(event, "metrics")][-1]
    assert last > 0.95


def test_preprocessing_comes_back_from_its_files(tmp_path: Path) -> None:
    table(tmp_path)
    for words in (WORDS, ("dataset=digits",), ("dataset=diabetes",), ("dataset=spirals",)):
        _, setup = build(config(*words))
        made = setup.splits.preprocessing
        preprocessing.write(tmp_path, made)
        again = preprocessing.read(tmp_path, torch.float32)
        assert (again.facts, again.raw_shape, again.table) == (made.facts, made.raw_shape, made.table)
        x = torch.rand(7, *made.raw_shape)
        assert torch.equal(again.x(x), made.x(x))
        if made.y is not None:
            assert torch.equal(again.y.inverse(x[:, :1]), made.y.inverse(x[:, :1]))


# --- the command line


@pytest.mark.slow
def test_three_commands_from_a_file_to_predictions(tmp_path: Path, cli: Cli) -> None:
    table(tmp_path)
    done = cli("train", *WORDS, "epochs=40", "report=false", "optimizer.lr=0.01")
    assert done.returncode == 0, done.stderr
    assert "1 number: size" in done.stdout
    assert "missing, imputed and marked: size" in done.stdout
    assert all(len(line) <= 78 for line in done.stdout.splitlines())
    before = cli("eval", "latest").stdout
    (tmp_path / "t.csv").rename(tmp_path / "elsewhere.csv")  # the run folder alone is enough from here on
    done = cli("eval", "latest", "dataset.path=elsewhere.csv")
    assert done.returncode == 0, done.stderr
    accuracy = float(done.stdout.rpartition("acc")[2])
    assert accuracy > 0.85
    assert "val/acc" in before

    rows = read_rows(tmp_path / "elsewhere.csv")
    rows[3]["city"] = 'Lou, "x"'
    new = io.StringIO()
    writer = csv.DictWriter(new, ["extra", "city", "day", "size"], extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**row, "extra": "kept"} for row in rows)
    (tmp_path / "new.csv").write_text(new.getvalue())
    done = cli("predict", "latest", "new.csv")
    assert done.returncode == 0
    assert "city has categories not seen in training" in done.stderr
    assert 'Lou, "x"' in done.stderr
    told = list(csv.DictReader(io.StringIO(done.stdout)))
    assert list(told[0]) == ["extra", "city", "day", "size", "prediction", "probability_big", "probability_small"]
    assert [row["city"] for row in told] == [row["city"] for row in rows]
    assert np.mean([a["prediction"] == b["label"] for a, b in zip(told, rows, strict=True)]) == pytest.approx(
        accuracy, abs=0.01
    )
    assert all(float(r["probability_big"]) + float(r["probability_small"]) == pytest.approx(1, abs=1e-5) for r in told)

    for out in ("out.tsv.gz", "out.parquet"):
        assert cli("predict", "latest", "new.csv", "-o", out).returncode == 0
    read = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert read["prediction"].to_pylist() == [row["prediction"] for row in told]
    again = cli("predict", "latest", "out.tsv.gz")
    assert again.returncode == 2
    assert "already has a column 'prediction'" in again.stderr
    lacking = "size\n3\n"
    (tmp_path / "few.csv").write_text(lacking)
    done = cli("predict", "latest", "few.csv")
    assert done.returncode == 2
    assert "few.csv has no columns city, day" in done.stderr
    (tmp_path / "bad.csv").write_text("size,city,day\n3,Oslo,2020-02-02\nlarge,Rome,2020-02-02\n")
    done = cli("predict", "latest", "bad.csv", "-o", "bad.out.csv")
    assert done.returncode == 2
    assert "bad.csv line 3 column 1 (size): 'large' is not a number" in done.stderr
    assert not list(tmp_path.glob("*bad.out*"))


@pytest.mark.slow
def test_standard_input_is_read_and_a_killed_streamed_run_resumes_exactly(tmp_path: Path, cli: Cli) -> None:
    parquet(tmp_path)
    words = [*STREAMED, "loader.in_memory=false", "epochs=2", "report=false"]
    done = cli("verify", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "same bits" in done.stdout


@pytest.mark.slow
def test_memory_of_a_streamed_table_is_bounded(tmp_path: Path) -> None:
    """Eight times the rows, and much the same peak: measured in processes of their own."""
    from trials import call

    small, large = (call(_peak, str(tmp_path), num_rows) for num_rows in (200_000, 1_600_000))
    size = 1_400_000 * 12 * 4 / 2**20
    print(f"peak {small:.0f} MiB for 200,000 rows, {large:.0f} for 1,600,000: {size:.0f} MiB more data")
    assert large - small < 0.5 * size


def _peak(folder: str, num_rows: int) -> float:
    """MiB that a process reaches while it fits and reads an epoch of a table of 12 columns."""
    import os
    import resource

    os.chdir(folder)
    chance = np.random.default_rng(0)
    with pyarrow.parquet.ParquetWriter(
        "big.parquet", pa.schema([(f"x{i}", pa.float32()) for i in range(12)])
    ) as writer:
        for _ in range(num_rows // 20_000):
            values = chance.standard_normal((12, 20_000), dtype=np.float32)
            writer.write_table(pa.table({f"x{i}": row for i, row in enumerate(values)}))
    row_groups.KEPT = 4 * 2**20
    words = [
        "dataset=table",
        "dataset.path=big.parquet",
        "dataset.target=x0",
        "loader.in_memory=false",
        "loader.batch_size=4096",
    ]
    run, _ = build(config(*words))
    for window in run.train_batches.windows(0):
        for x, *_ in window:
            assert x.shape[1] == 11
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def test_json_holds_what_a_reader_needs(tmp_path: Path) -> None:
    table(tmp_path)
    preprocessing.write(tmp_path, build(config(*WORDS))[1].splits.preprocessing)
    data = json.loads((tmp_path / "preprocessing.json").read_text())
    assert data["classes"] == ["big", "small"]
    assert [column["name"] for column in data["table"]["columns"]] == ["size", "city", "day"]
    assert sorted(data["table"]["columns"][1]["levels"]) == ["Bonn", "Oslo", "Rome"]
