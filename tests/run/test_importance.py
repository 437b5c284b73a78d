"""Permutation importance: scikit-learn's numbers on the same permutations, and the same from a run and from report."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import columns
import numpy as np
import pytest
import torch
from torch import Tensor

from trainer.cli import main
from trainer.data import fingerprint
from trainer.data.splits import Splits
from trainer.data.tabular.unseen import Unseen
from trainer.disk import importance, layout
from trainer.inference import labelled
from trainer.inference.model import Trained, load
from trainer.inference.rows import encoded, open_table
from trainer.run import importance as measuring
from trainer.run import val_rows
from trainer.verbs.open_run import open_run

TABLE = ["dataset=table", "dataset.path=t.csv", "threads=1"]


def opened() -> tuple[Trained, Splits]:
    """The latest run, and its data."""
    stored = open_run("latest", trust_it=False)
    trained = load(stored.folder, stored.config, to_measure=True)
    known = fingerprint.read(stored.folder)
    return trained, labelled.own_splits(stored.config, trained, known, download=False)


def theirs(trained: Trained, splits: Splits, scoring: str, seed: int) -> Any:
    """scikit-learn's importances of the run's model as a function of the encoded columns, before any one-hot input."""
    inspection = pytest.importorskip("sklearn.inspection")
    base = pytest.importorskip("sklearn.base")
    source = open_table("t.csv", trained.preprocessing.of_table()[1], with_targets=True)
    raw = torch.cat([rows for _, rows in encoded(source, trained.preprocessing.of_table()[1], Unseen())])
    assert splits.val is not None
    raw = raw[splits.val.part.rows]
    (y,) = (y for _, y, _ in val_rows.batches(splits.val, torch.arange(len(raw)), len(raw)))
    truth = y if trained.facts.classes else splits.preprocessing.y.inverse(y)

    class Model(base.BaseEstimator):
        classes_ = range(trained.facts.num_outputs)
        _estimator_type = "classifier" if trained.facts.classes else "regressor"

        def fit(self, x: object, y: object) -> None:
            pass

        def predict_proba(self, x: np.ndarray) -> np.ndarray:
            return trained.task.answer(trained.outputs(torch.from_numpy(x)).double()).numpy()

        def predict(self, x: np.ndarray) -> np.ndarray:
            return self.predict_proba(x).argmax(1) if trained.facts.classes else self.predict_proba(x)

    return inspection.permutation_importance(
        Model(), raw.numpy(), truth.numpy(), scoring=scoring, n_repeats=measuring.NUM_SHUFFLES, random_state=seed
    )


def their_permutations(num_rows: int, seed: int) -> list[Tensor]:
    """Those that scikit-learn draws, for each column the same: it shuffles what it has shuffled before."""
    generator = np.random.RandomState(np.random.RandomState(seed).randint(np.iinfo(np.int32).max + 1))
    order, whole, found = np.arange(num_rows), np.arange(num_rows), []
    for _ in range(measuring.NUM_SHUFFLES):
        generator.shuffle(order)
        whole = whole[order]
        found.append(torch.from_numpy(whole.copy()))
    return found


@pytest.mark.parametrize(
    ("target", "metric", "mode", "scoring"),
    [
        ("buys", "val/acc", "max", "accuracy"),
        ("buys", "val/loss", "min", "neg_log_loss"),
        ("price", "val/r2", "max", "r2"),
        ("price", "val/mae", "min", "neg_mean_absolute_error"),
    ],
)
def test_it_is_scikit_learns(tmp_path: Path, target: str, metric: str, mode: str, scoring: str) -> None:
    """A category of three inputs is shuffled as one column, and a number together with the mark that it is missing."""
    columns.write(tmp_path / "t.csv", target)
    assert main(["train", *TABLE, f"dataset.target={target}", "epochs=8", "report=false"]) == 0
    trained, splits = opened()
    assert [len(inputs) for _, inputs in measuring.columns_of(splits.preprocessing)] == [2, 3, 1, 1, 1, 1]
    expected = theirs(trained, splits, scoring, seed=7)
    assert splits.val is not None
    ((x, y, _),) = val_rows.batches(splits.val, torch.arange(60), 60)
    assert isinstance(x, Tensor)
    assert isinstance(y, Tensor)
    orders, score = their_permutations(60, seed=7), measuring.scorer(trained, y, 13, metric)
    each = [
        list(measuring.scores(score, x, inputs, orders)) for _, inputs in measuring.columns_of(splits.preprocessing)
    ]
    drops = (score(x) - np.array(each)) * (1 if mode == "max" else -1)
    size = 60_000 if metric == "val/mae" else 1  # of the target
    assert drops == pytest.approx(expected.importances, abs=1e-6 * size)
    assert expected.importances_mean[:3].min() > expected.importances_mean[3:].max(), "the columns that matter"


def stored() -> importance.Importance:
    found = importance.read(layout.find("latest"))
    assert found is not None
    return found


def names(found: Sequence[importance.ColumnImportance]) -> list[str]:
    return [column.name for column in found]


def test_a_run_and_report_tell_the_same_and_the_seed_decides(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    columns.write(tmp_path / "t.csv", "price")
    words = ["train", *TABLE, "dataset.target=price", "epochs=8", "loader.eval_batch_size=7"]
    assert main(words) == 0
    folder, found = layout.find("latest"), stored()
    best = layout.read_summary(folder)["best"]
    assert (found.metric, found.mode, found.score, found.num_rows) == ("val/r2", "max", best["val/r2"], 60)
    assert set(names(found.columns[:3])) == {"age", "city", "size"}
    content = (folder / layout.IMPORTANCE).read_bytes()
    (folder / layout.IMPORTANCE).unlink()
    assert main(["report"]) == 0
    assert f"trainer report {folder.name} --importance" in (folder / layout.REPORT).read_text(encoding="utf-8")
    capsys.readouterr()
    assert main(["report", "--importance"]) == 0
    assert "val/r2 gets worse when one is shuffled: " in " ".join(capsys.readouterr().out.split())
    assert (folder / layout.IMPORTANCE).read_bytes() == content
    assert "--importance" not in (folder / layout.REPORT).read_text(encoding="utf-8")
    monkeypatch.setattr(measuring, "MOST_QUICK", 60 * 6 * 10 - 1)
    assert main(["resume", "latest", "epochs=9"]) == 0
    assert not (folder / layout.IMPORTANCE).exists(), "it was about other weights"
    trained, splits = opened()
    monkeypatch.setattr(measuring, "NUM_SHUFFLES", 3)
    other = [measuring.measure(trained, splits, "val/mae", {}, seed, 7) for seed in (0, 1)]
    assert {(one.metric, one.mode) for one in other} == {("val/mae", "min")}
    assert other[0] != other[1]


def test_the_page_shows_the_first_columns_and_how_many_more(tmp_path: Path) -> None:
    columns.write(tmp_path / "t.csv", "buys", num_noise=26)
    assert main(["train", *TABLE, "dataset.target=buys", "epochs=4"]) == 0
    page = (layout.find("latest") / layout.REPORT).read_text(encoding="utf-8")
    assert page.count('class="drop"') == 20
    assert "10 more columns matter less" in page
    assert "by how much val/acc gets worse when a column is shuffled, on 60 validation rows" in page


def test_what_cannot_be_told_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "dataset=digits", "epochs=1", "report=false"]) == 0
    assert main(["report", "--importance"]) == 2
    assert "--importance shuffles the columns of a table" in capsys.readouterr().err
    columns.write(tmp_path / "t.csv", "buys")
    words = ["train", *TABLE, "dataset.target=buys", "epochs=1"]
    assert main([*words, "dataset.val_fraction=0"]) == 0
    page = (layout.find("latest") / layout.REPORT).read_text(encoding="utf-8")
    assert "What the model uses" not in page, "there is nothing to type"
    assert main(["report", "--importance"]) == 2
    assert "this run has 0 rows" in capsys.readouterr().err
    assert main(words) == 0
    with open("t.csv", "a", encoding="utf-8") as file:
        file.write("40.0,Oslo,91.0,2001-02-03,0.1,0.2,no\n")
    assert main(["report", "--importance"]) == 0
    assert "warning: the data of this run has changed" in capsys.readouterr().err
    Path("t.csv").rename("elsewhere.csv")
    assert main(["report", "--importance"]) == 2
    assert "t.csv" in capsys.readouterr().err
    assert main(["report"]) == 0, "the page needs no data"


@pytest.mark.slow
def test_of_a_sweep_it_is_about_the_best_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    columns.write(tmp_path / "t.csv", "buys")
    words = ["train", *TABLE, "dataset.target=buys", "epochs=4", "-m", "optimizer.lr=1e-6,0.02", "report=false"]
    assert main([*words, "sweep.jobs=1"]) == 0
    assert main(["report", "--importance"]) == 0
    assert "the best run of the sweep" in " ".join(capsys.readouterr().out.split())
    sweep = layout.find_sweep("latest")
    assert sweep is not None
    assert [(sweep / job / layout.IMPORTANCE).exists() for job in ("000", "001")] == [False, True]
    page = (sweep / "000" / layout.REPORT).read_text(encoding="utf-8")
    assert f"trainer report {sweep.name}/000 --importance" in page
    assert main(["report", f"{sweep.name}/000", "--importance"]) == 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_the_informative_columns_of_friedman_come_first(tmp_path: Path, seed: int) -> None:
    """As in benchmarks/importance.py, which tries 20 seeds."""
    datasets = pytest.importorskip("sklearn.datasets")
    x, y = datasets.make_friedman1(n_samples=1000, n_features=10, noise=1.0, random_state=seed)
    header = ",".join([*(f"x{number}" for number in range(10)), "y"])
    np.savetxt(tmp_path / "t.csv", np.c_[x, y], delimiter=",", header=header, comments="")
    assert main(["train", *TABLE, "dataset.target=y", f"seed={seed}"]) == 0
    assert sorted(names(stored().columns[:5])) == ["x0", "x1", "x2", "x3", "x4"]
