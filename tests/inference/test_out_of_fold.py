"""predict SWEEP --out-of-fold: every row once a repeat, by the runs that held it back."""

import json
from pathlib import Path

import numpy as np
import pytest
from pyarrow import Table
from pyarrow import csv as tables

from trainer.cli import main
from trainer.data.embedded import Wine
from trainer.disk import layout

QUICK = ["-m", "epochs=3", "report=false", "sweep.jobs=1", "threads=1"]


def written(*words: str) -> Table:
    assert main(["predict", "latest", "--out-of-fold", "-o", "oof.csv", *words]) == 0
    return tables.read_csv("oof.csv")


def test_each_row_is_answered_by_the_run_that_held_it_back() -> None:
    assert main(["train", "dataset=wine", "dataset.folds=4", "dataset.fold=range(4)", *QUICK]) == 0
    found = written()
    assert found.column_names[:3] == ["row", "fold", "prediction"]
    assert found["row"].to_pylist() == list(range(178))
    data, sweep = Wine(), layout.find_sweep("latest")
    assert sweep is not None
    truth = np.array(data.classes)[data.y.numpy()]
    right, fold = found["prediction"].to_numpy() == truth, found["fold"].to_numpy()
    for number in range(4):
        best = json.loads((sweep / f"{number:03}" / layout.SUMMARY).read_text())["best"]
        assert right[fold == number].mean() == pytest.approx(best["val/acc"])
    np.savez("new.npz", x=data.x.numpy())
    assert main(["predict", str(sweep / "002"), "new.npz", "-o", "alone.csv"]) == 0
    alone = tables.read_csv("alone.csv")
    for name in alone.column_names[2:]:
        ours, theirs = found[name].to_numpy()[fold == 2], alone[name].to_numpy()[fold == 2]
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_repeats_have_a_column_and_seeds_are_averaged() -> None:
    words = ["dataset=iris", "dataset.folds=2", "dataset.repeats=2", "dataset.fold=range(4)", "seed=0,1"]
    assert main(["train", *words, *QUICK]) == 0
    found = written()
    assert sorted(zip(found["repeat"].to_pylist(), found["row"].to_pylist(), strict=True)) == [
        (repeat, row) for repeat in (0, 1) for row in range(150)
    ]
    probabilities = np.stack([found[name].to_numpy() for name in found.column_names if name.startswith("prob")])
    assert probabilities.sum(0) == pytest.approx(1, abs=1e-5)


def test_by_time_the_first_block_has_no_prediction_and_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    generator = np.random.default_rng(0)
    lines = [f"{day},{x:.3f},{2 * x:.3f}" for day, x in enumerate(generator.normal(size=90))]
    (tmp_path / "t.csv").write_text("\n".join(["day,x,y", *lines]) + "\n")
    words = ["dataset=table", "dataset.path=t.csv", "dataset.target=y", "dataset.split=time", "dataset.split_by=day"]
    assert main(["train", *words, "dataset.folds=2", "dataset.fold=0,1", *QUICK]) == 0
    log = Path("outputs/latest/000/train.log").read_text()
    assert "the first is never predicted" in " ".join(log.split())
    found = written()
    assert found["row"].to_pylist() == list(range(90))
    assert found["fold"].to_pylist() == [None] * 30 + [0] * 30 + [1] * 30
    assert [value is None for value in found["prediction"].to_pylist()] == [True] * 30 + [False] * 60
    assert "no run held back 30 rows of 90" in capsys.readouterr().err


def test_a_sweep_without_folds_has_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "dataset=iris", "seed=0,1", *QUICK]) == 0
    assert main(["predict", "latest", "--out-of-fold"]) == 2
    assert "is not a sweep over dataset.fold" in capsys.readouterr().err


def test_what_cannot_be_joined_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """Runs of several cuts held back other rows under the same number."""
    words = ["dataset=iris", "dataset.folds=2", "dataset.fold=range(2)", "dataset.split_seed=0,1"]
    assert main(["train", *words, *QUICK]) == 0
    for typed, said in (
        ([], "held back other rows as the same fold"),
        (["--top", "1"], "--out-of-fold takes no --top"),
        (["--mirror"], "--out-of-fold takes no --mirror"),
        (["-o", "x.npz"], "x.npz is for arrays"),
    ):
        assert main(["predict", "latest", "--out-of-fold", *typed]) == 2
        assert said in capsys.readouterr().err
    assert main(["predict", "nosuch", "--out-of-fold"]) == 2
    assert "nosuch" in capsys.readouterr().err
