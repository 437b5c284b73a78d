"""A run whose data has changed since: what resume refuses, what data=changed does, what eval says."""

import csv
import json
import os
import random
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import Cli
from PIL import Image

from trainer.cli import main
from trainer.data import digests, fingerprint
from trainer.data.roles import TRAIN, VAL, random_roles
from trainer.disk import layout

QUICK = ["report=false", "threads=1", "device=cpu", "model.hidden=[4]"]


def rows(num_rows: int, seed: int = 0) -> list[tuple[str, str, str]]:
    """Rows of a table: y = 2a + 5 in one city, 2a elsewhere."""
    draw = random.Random(seed)
    made = [(draw.uniform(0, 1), draw.choice(["Rome", "Bonn", "Oslo"])) for _ in range(num_rows)]
    return [(f"{a:.5f}", city, f"{2 * a + 5 * (city == 'Rome'):.5f}") for a, city in made]


def write_csv(path: Path, lines: list[tuple[str, str, str]]) -> None:
    path.write_text("\n".join(map(",".join, [("a", "city", "y"), *lines])) + "\n")


def train(*words: str) -> Path:
    """Train a run of two epochs. Returns its folder."""
    assert main(["train", *words, "epochs=2", *QUICK]) == 0
    return layout.find("latest")


def change_csv(path: Path) -> None:
    path.write_text(path.read_text().replace("Rome", "Romy", 1))


def change_byte(path: Path) -> None:
    """Change one byte near the end of a file, where .npz and .safetensors hold the last array."""
    data = bytearray(path.read_bytes())
    data[-1 if path.suffix == ".safetensors" else -400] ^= 1
    path.write_bytes(data)


def table_file(folder: Path) -> tuple[list[str], Path, Callable[[Path], None]]:
    write_csv(folder / "t.csv", rows(100))
    return ["dataset=table", "dataset.path=t.csv", "dataset.target=y"], folder / "t.csv", change_csv


def gzip_file(folder: Path) -> tuple[list[str], Path, Callable[[Path], None]]:
    import gzip

    text = "\n".join(map(",".join, [("a", "city", "y"), *rows(100)])) + "\n"
    path = folder / "t.csv.gz"
    path.write_bytes(gzip.compress(text.encode()))

    def change(path: Path) -> None:
        path.write_bytes(gzip.compress(text.replace("Rome", "Romy", 1).encode()))

    return ["dataset=table", "dataset.path=t.csv.gz", "dataset.target=y"], path, change


def parquet_file(folder: Path) -> tuple[list[str], Path, Callable[[Path], None]]:
    path = folder / "t.parquet"
    table = pa.table({"a": [float(i % 17) for i in range(100)], "y": [float(i % 17) * 2 for i in range(100)]})
    pq.write_table(table, path, compression="none", use_dictionary=False)

    def change(path: Path) -> None:
        """Change a value in the pages, where the footer's statistics do not see it."""
        data = path.read_bytes()
        old = np.array([7.0, 8.0]).tobytes()
        assert old in data
        path.write_bytes(data.replace(old, np.array([7.0, 9.0]).tobytes(), 1))

    return ["dataset=table", "dataset.path=t.parquet", "dataset.target=y"], path, change


def array_file(folder: Path) -> tuple[list[str], Path, Callable[[Path], None]]:
    x = np.random.default_rng(0).normal(size=(60, 3))
    np.savez(folder / "a.npz", x=x, y=(x[:, 0] > 0).astype(np.int64))

    def change(path: Path) -> None:
        y = (x[:, 0] > 0).astype(np.int64)
        y[17] = 1 - y[17]
        np.savez(path, x=x, y=y)

    return ["dataset=npz", "dataset.path=a.npz"], folder / "a.npz", change


def own_dataset(folder: Path) -> tuple[list[str], Path, Callable[[Path], None]]:
    np.save(folder / "own.npy", np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32))

    def change(path: Path) -> None:
        x = np.load(path)
        x[23, 1] += 1
        np.save(path, x)

    return ["dataset=own", "dataset._target_=own.Filed", "+dataset.file=own.npy"], folder / "own.npy", change


@pytest.mark.parametrize("make", [table_file, gzip_file, parquet_file, array_file, own_dataset])
def test_resume_refuses_one_changed_value_before_anything_is_spent(
    make: Callable, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, path, change = make(tmp_path)
    folder = train(*words)
    change(path)
    before = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    capsys.readouterr()
    assert main(["resume", "latest", "epochs=3"]) == 2
    said = capsys.readouterr()
    assert "the data of this run has changed: " in said.err
    assert f"try: put the old data back; or trainer resume {folder} data=changed" in said.err
    assert said.out == ""
    assert {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()} == before
    assert main(["resume", "latest", "epochs=3", "data=changed"]) == 0
    assert main(["resume", "latest", "epochs=4"]) == 0  # now it is the data of this run


def test_a_table_that_grew_and_was_shuffled_keeps_its_validation_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The roles are checked against the text of the rows, by Python's own comparison."""
    old, new = rows(100), rows(200, seed=1)
    write_csv(tmp_path / "t.csv", old)
    folder = train("dataset=table", "dataset.path=t.csv", "dataset.target=y")
    first = fingerprint.read(folder)
    held_back = {row for row, role in zip(old, first.roles, strict=True) if role == VAL}
    preprocessing = (folder / layout.PREPROCESSING).read_bytes()
    lines = old + new
    random.Random(2).shuffle(lines)
    write_csv(tmp_path / "t.csv", lines)
    assert main(["resume", "latest", "epochs=4", "data=changed"]) == 0
    assert (folder / layout.PREPROCESSING).read_bytes() == preprocessing
    roles = dict(zip(lines, fingerprint.read(folder).roles.tolist(), strict=True))
    assert {roles[row] for row in held_back} == {VAL}
    assert {roles[row] for row in set(old) - held_back} == {TRAIN}
    assert 10 < sum(roles[row] == VAL for row in new) < 80
    last = json.loads((folder / "summary.json").read_text())["best"]
    assert last["step"] > 4  # what was best before was measured on other rows
    assert "best     starts again: other rows validate now" in capsys.readouterr().out
    assert main(["eval", "latest"]) == 0
    said = capsys.readouterr().out
    assert f"val/loss     {last['val/loss']:.4f}" in said
    assert "trained on" not in said


def test_eval_says_how_many_rows_were_trained_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(tmp_path / "t.csv", rows(100))
    write_csv(tmp_path / "other.csv", rows(100)[:30] + rows(50, seed=3))
    folder = train("dataset=table", "dataset.path=t.csv", "dataset.target=y")
    known = fingerprint.read(folder)
    trained = sum(known.roles[:30] == TRAIN)
    capsys.readouterr()
    assert main(["eval", "latest", "dataset.path=other.csv"]) == 0
    assert f"{trained} of these 80 rows were trained on" in capsys.readouterr().err
    train("dataset=iris")
    known = fingerprint.read(layout.find("latest"))
    capsys.readouterr()
    assert main(["eval", "latest", "dataset.val_fraction=0.5"]) == 0
    assert "of these 75 rows were trained on" in capsys.readouterr().err
    assert main(["eval", "latest", "split=train"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["eval", "latest", "split=train", "dataset.split_seed=3"]) == 0
    trained = (known.roles[random_roles(150, 0.2, 3) == TRAIN] == TRAIN).sum()
    assert f"{trained} of these 120 rows were trained on" in capsys.readouterr().err


def test_new_rows_of_an_old_group_stay_with_it(tmp_path: Path) -> None:
    """In a table, whose rows are known by content, and in a Dataset with `groups`, whose rows are known by position."""
    lines = rows(240)
    groups = [f"g{number % 12}" for number in range(120)] + [f"g{number % 30}" for number in range(120)]
    lines = [(group, city, y) for group, (_, city, y) in zip(groups, lines, strict=True)]
    table = ["dataset=table", "dataset.path=t.csv", "dataset.target=y", "dataset.split=group", "dataset.split_by=a"]
    own = ["dataset=own", "dataset._target_=own.Grouped", "+dataset.file=own.npy", "+dataset.split=group"]
    x = np.random.default_rng(0).normal(size=(240, 3)).astype(np.float32)
    x[:, 2] = [int(group[1:]) for group in groups]
    for words, write in (
        (table, lambda count: write_csv(tmp_path / "t.csv", lines[:count])),
        (own, lambda count: np.save(tmp_path / "own.npy", x[:count])),
    ):
        write(120)
        folder = train(*words)
        first = fingerprint.read(folder).roles
        write(240)
        assert main(["resume", "latest", "epochs=3", "data=changed"]) == 0
        roles = fingerprint.read(folder).roles
        assert roles[:120].tolist() == first.tolist()
        of_group: dict[str, set[int]] = {}
        for group, role in zip(groups, roles.tolist(), strict=True):
            of_group.setdefault(group, set()).add(role)
        assert all(len(found) == 1 for found in of_group.values())
        assert set().union(*(of_group[f"g{number}"] for number in range(12, 30))) == {TRAIN, VAL}


def test_eval_says_that_the_data_has_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = rows(100)
    write_csv(tmp_path / "t.csv", old)
    folder = train("dataset=table", "dataset.path=t.csv", "dataset.target=y")
    known = fingerprint.read(folder)
    write_csv(tmp_path / "t.csv", old + rows(50, seed=1))
    for words in ([], ["split=train"], ["dataset.val_fraction=0.5"]):
        capsys.readouterr()
        assert main(["eval", "latest", *words]) == 0
        said = capsys.readouterr().err
        assert "warning: the data of this run has changed: 50 rows are new; t.csv had " in said
        assert ("were trained on" in said) == (words != [])
    write_csv(tmp_path / "t.csv", [row for row, role in zip(old, known.roles, strict=True) if role == TRAIN])
    assert main(["eval", "latest"]) == 2
    assert "none of the rows that this run held back is left" in capsys.readouterr().err


def test_the_best_is_kept_where_the_same_rows_validate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In another order they are the same; a row known by its position may have changed in its place."""
    lines = rows(100)
    write_csv(tmp_path / "t.csv", lines)
    train("dataset=table", "dataset.path=t.csv", "dataset.target=y")
    random.Random(0).shuffle(lines)
    write_csv(tmp_path / "t.csv", lines)
    assert main(["resume", "latest", "epochs=3", "data=changed"]) == 0
    assert "best     starts again" not in capsys.readouterr().out
    words, path, change = own_dataset(tmp_path)
    train(*words)
    change(path)
    assert main(["resume", "latest", "epochs=3", "data=changed"]) == 0
    assert "best     starts again" in capsys.readouterr().out
    train(*picture_folder(tmp_path))
    names = fingerprint.read(layout.find("latest"))
    (moved, *_) = (name for name, role in zip(names.parts.names, names.roles, strict=True) if role == VAL)
    other = moved.replace("left/", "right/x") if "left" in moved else moved.replace("right/", "left/x")
    (tmp_path / "pictures" / moved).rename(tmp_path / "pictures" / other)
    assert main(["resume", "latest", "epochs=3", "data=changed"]) == 0
    assert "best     starts again" in capsys.readouterr().out


def test_a_picture_may_have_a_name_that_is_not_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = picture_folder(tmp_path)
    try:
        os.rename(tmp_path / "pictures/left/03.bmp", os.fsencode(tmp_path) + b"/pictures/left/\xff\xfe.bmp")
    except OSError:
        pytest.skip("this file system holds text only")
    train(*words)
    assert main(["resume", "latest", "epochs=3"]) == 0
    assert main(["predict", "latest", "pictures", "-o", "out.csv"]) == 0
    assert "left/\ufffd\ufffd.bmp" in (tmp_path / "out.csv").read_text(encoding="utf-8")


def test_a_stream_that_changes_ends_the_run_where_it_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Parquet that is read in parts: its size and footer are as before, and one value of its last row group is not."""
    path = tmp_path / "t.parquet"
    a = np.arange(400) % 17 + 0.5
    table = pa.table({"a": a, "y": 2 * a})
    pq.write_table(table, path, compression="none", use_dictionary=False, row_group_size=100)
    words = ["dataset=table", "dataset.path=t.parquet", "dataset.target=y", "loader.in_memory=false"]
    folder = train(*words, "loader.batch_size=16")
    data = path.read_bytes()
    at = data.rindex(np.array([2.5, 3.5]).tobytes())
    path.write_bytes(data[:at] + np.array([2.5, 4.5]).tobytes() + data[at + 16 :])
    kept = sorted((folder / "checkpoints").iterdir())
    capsys.readouterr()
    assert main(["resume", "latest", "epochs=4"]) == 1
    assert "t.parquet row group 3 has changed" in capsys.readouterr().err
    assert sorted((folder / "checkpoints").iterdir()) == kept
    assert json.loads((folder / "summary.json").read_text())["status"] == "failed"
    assert main(["resume", "latest", "epochs=4", "data=changed"]) == 0


def picture_folder(folder: Path) -> list[str]:
    draw = np.random.default_rng(0)
    for name in ("left", "right"):
        (folder / "pictures" / name).mkdir(parents=True)
        for number in range(15):
            pixels = draw.integers(0, 255, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "pictures" / name / f"{number:02}.bmp")
    return ["dataset=images", "dataset.path=pictures", "dataset.size=8"]


@pytest.mark.parametrize("num_workers", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_a_picture_that_changes_ends_the_run_where_it_is_decoded(
    num_workers: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One pixel, in a file of the same size."""
    folder = train(*picture_folder(tmp_path), f"loader.num_workers={num_workers}")
    path = tmp_path / "pictures/right/07.bmp"
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    kept = sorted((folder / "checkpoints").iterdir())
    capsys.readouterr()
    assert main(["resume", "latest", "epochs=4"]) == 1
    assert "07.bmp has changed" in capsys.readouterr().err
    assert sorted((folder / "checkpoints").iterdir()) == kept
    assert main(["resume", "latest", "epochs=4", "data=changed"]) == 0


@pytest.mark.slow
def test_what_another_process_has_read_is_known_too(tmp_path: Path, cli: Cli) -> None:
    """Each of two processes decodes half of the pictures; one of either half is changed."""
    words = [*picture_folder(tmp_path), "loader.batch_size=8", "epochs=1", "nproc=2", *QUICK]
    assert cli("train", *words).returncode == 0
    known = fingerprint.read(layout.find("latest"))
    assert known.parts.digests.bool().any(1).all()
    for name, digest in zip(known.parts.names, known.parts.digests, strict=True):
        assert tuple(digest.tolist()) == digests.of_bytes((tmp_path / "pictures" / name).read_bytes())


def test_a_picture_more_is_refused_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = train(*picture_folder(tmp_path))
    first = fingerprint.read(folder)
    held_back = [name for name, role in zip(first.parts.names, first.roles, strict=True) if role == VAL]
    (tmp_path / "pictures/left/00a.bmp").write_bytes((tmp_path / "pictures/left/01.bmp").read_bytes()[:-3] + b"new")
    for name in held_back:  # they move to another name
        path = tmp_path / "pictures" / name
        path.rename(path.with_name("z" + path.name))
    capsys.readouterr()
    assert main(["resume", "latest", "epochs=3"]) == 2
    assert re.search(r"left/00a\.bmp.* are new", capsys.readouterr().err)
    assert main(["resume", "latest", "epochs=3", "data=changed"]) == 0
    roles = dict(zip(fingerprint.read(folder).parts.names, fingerprint.read(folder).roles.tolist(), strict=True))
    assert {roles[name] for name in roles if "/z" in name} == {VAL}
    assert sum("/z" in name for name in roles) == len(held_back)


def test_random_rows_are_not_compared_and_the_header_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    train("dataset=own", "dataset._target_=own.Augmented")
    assert "not checked: 100 of 100 rows differ when they are read again" in capsys.readouterr().out
    assert main(["resume", "latest", "epochs=3"]) == 0
    train("dataset=own", "dataset._target_=own.Filed", "+dataset.num_rows=150")
    assert "checked in part: a resume compares 100 of 150 rows, by position" in capsys.readouterr().out


def test_a_run_without_a_fingerprint_resumes_with_one_warning(capsys: pytest.CaptureFixture[str]) -> None:
    folder = train("dataset=iris")
    (folder / layout.DATA).unlink()
    (folder / layout.DATA_ROWS).unlink()
    capsys.readouterr()
    assert main(["resume", "latest", "epochs=3"]) == 0
    assert capsys.readouterr().err.count("warning") == 1
    assert main(["resume", "latest", "epochs=4"]) == 0
    assert capsys.readouterr().err == ""


def test_a_column_that_is_gone_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_csv(tmp_path / "t.csv", rows(100))
    train("dataset=table", "dataset.path=t.csv", "dataset.target=y")
    (tmp_path / "t.csv").write_text((tmp_path / "t.csv").read_text().replace("a,city", "b,city"))
    capsys.readouterr()
    for words in ([], ["data=changed"]):
        assert main(["resume", "latest", "epochs=3", *words]) == 2
        assert "t.csv has no column a" in capsys.readouterr().err


def test_only_one_word_follows_data(capsys: pytest.CaptureFixture[str]) -> None:
    train("dataset=iris")
    assert main(["resume", "latest", "epochs=3", "data=new"]) == 2
    assert "data=changed" in capsys.readouterr().err


def test_a_resumed_run_measures_what_it_measured(tmp_path: Path) -> None:
    """Uneven classes give two metrics more. They stay in their columns, though the new rows make the classes even."""
    old = [(a, city, "yes" if index % 10 == 0 else "no") for index, (a, city, _) in enumerate(rows(100))]
    write_csv(tmp_path / "t.csv", old)
    folder = train("dataset=table", "dataset.path=t.csv", "dataset.target=y")
    assert main(["resume", "latest", "epochs=3"]) == 0
    write_csv(tmp_path / "t.csv", old + [(a, city, "yes") for a, city, _ in rows(80, seed=1)])
    assert main(["resume", "latest", "epochs=4", "data=changed"]) == 0
    with (folder / layout.RESULTS).open(newline="") as file:
        found = list(csv.DictReader(file))
    assert found[-1]["epoch"] == "4"
    assert {float(row["lr"]) for row in found} == {0.002}
    assert all(0 <= float(row["val/f1"]) <= 1 for row in found)


def test_the_header_says_all_that_has_changed_in_lines_that_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With names so long that one line cannot hold them."""
    names = [f"measurements-of-station-{number}-in-the-north.csv" for number in range(3)]
    for number, name in enumerate(names):
        write_csv(tmp_path / name, rows(40, seed=number))
    words = ["dataset=table", f"dataset.path=[{','.join(names)}]", "dataset.target=y"]
    folder = train(*words, "dataset.drop=[]")
    for name in names:
        change_csv(tmp_path / name)
    capsys.readouterr()
    assert main(["resume", str(folder), "data=changed", "epochs=3"]) == 0
    said = capsys.readouterr().out
    notes = [line for line in said.splitlines() if line.startswith(("data ", " " * 9))]
    assert max(map(len, notes)) <= 78
    assert f"; {', '.join(names)} are changed" in " ".join(said.split())
