"""val_rows.safetensors: its weighted means are the run's own numbers, for every task and loss, and pairs of runs are
compared by it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from trainer.cli import main
from trainer.compare import pairs, ranking, row_variance, rows
from trainer.data.facts import Facts, Spec
from trainer.data.meaning import Meaning
from trainer.disk import layout, val_rows
from trainer.run import draws
from trainer.run.val_rows import write
from trainer.tasks.classes import Classes

OWN = ["dataset._target_=every_task.Rows", "model._target_=every_task.Net"]
JOBS = {
    "classes": (["dataset=wine", "metrics=[f1,balanced_acc]"], {"loss", "acc"}),
    "weighted classes": (["dataset=wine", "loss=cross_entropy", "loss.weight=balanced"], {"loss", "acc"}),
    "smoothed": (["dataset=wine", "loss=cross_entropy", "loss.label_smoothing=0.1"], {"loss", "acc"}),
    "focal": (["dataset=wine", "loss=focal", "loss.weight=[1,2,3]"], {"loss", "acc"}),
    "numbers": (["dataset=diabetes"], {"loss", "mse", "mae"}),
    "huber": (["dataset=diabetes", "loss=huber"], {"loss", "mse", "mae"}),
    "quantiles": (["dataset=diabetes", "loss=quantile"], {"loss", "mse", "mae"}),
    "labels": ([*OWN, "+dataset.kind=labels", "+model.kind=labels"], {"loss", "subset_acc"}),
    "tokens": ([*OWN, "+dataset.kind=tokens", "+model.kind=tokens"], {"loss", "acc"}),
    "pixels": ([*OWN, "+dataset.kind=pixels", "+model.kind=pixels"], {"loss", "acc"}),
    "terms": ([*OWN, "+dataset.kind=free", "+model.kind=free", "loss._target_=every_task.Terms"], {"loss"}),
    "inputs": (["dataset=digits", "dataset.task=input"], {"loss", "mse"}),
}


@pytest.mark.parametrize("name", JOBS)
def test_the_weighted_mean_over_rows_is_what_the_run_measured(name: str) -> None:
    words, names = JOBS[name]
    assert main(["train", *words, "threads=1", "max_steps=12", "loader.eval_batch_size=7", "report=false"]) == 0
    folder = layout.find("latest")
    found, best = val_rows.read(folder), json.loads((folder / layout.SUMMARY).read_text())["best"]
    assert found is not None
    assert found.values.keys() == names
    for metric, (value, weight) in found.values.items():
        assert (value * weight).sum() / weight.sum() == pytest.approx(best[f"val/{metric}"], rel=1e-5), metric
    assert len(set(found.rows.tolist())) == len(found.rows)
    assert name == "terms" or found.draws.keys() == {key[4:] for key in best if key.startswith("val/")} - names
    for metric, drawn in found.draws.items():
        assert abs(drawn.mean() - best[f"val/{metric}"]) <= 3 * drawn.std() + 1e-9, metric


def test_two_runs_are_compared_row_by_row_and_in_the_same_draws(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accuracy has a value a row: its variance is that of the draws, too. So is that of any metric of torchmetrics."""
    for lr in ("0.01", "0.0003"):
        assert main(["train", "dataset=digits", f"optimizer.lr={lr}", "threads=1", "epochs=3", "report=false"]) == 0
    runs = rows.of_runs(sorted(Path("outputs").glob("2*/*")))
    (ranked,) = ranking.rankings(runs)
    gap = ranked.gaps[1]
    first, second = (val_rows.read(Path(row.name)) for row in (ranked.groups[1].rows[0], ranked.groups[0].rows[0]))
    assert first is not None
    assert second is not None
    difference = first.values["acc"][0] - second.values["acc"][0]
    assert gap.mean == pytest.approx(difference.mean())
    assert gap.half == pytest.approx(1.96 * difference.std(ddof=1) / np.sqrt(len(difference)), rel=1e-3)
    assert gap.rows == len(difference) == 359
    task = Classes(Facts(Spec((64,)), Meaning("classes", "", list("0123456789"), 10)))
    for most in (1_000, 100):  # all rows in a draw, and few of them
        monkeypatch.setattr(draws, "MOST_DRAWN", most)
        monkeypatch.setattr(row_variance, "MOST_DRAWN", most)
        drawn = [draws.measure(task, ["acc"], *map(torch.from_numpy, one.others.values())) for one in (first, second)]
        again = row_variance.of_draws([(drawn[0]["acc"], drawn[1]["acc"])], 359)
        assert again == pytest.approx(row_variance.of_mean(difference), rel=0.3)
    assert main(["compare"]) == 0
    assert "over the 359 validation rows alone (fewer than 3 pairs" in " ".join(capsys.readouterr().out.split())


@pytest.mark.optional
def test_a_metric_of_torchmetrics_has_an_interval(capsys: pytest.CaptureFixture[str]) -> None:
    """As one by hand: Matthews' coefficient of the rows of each draw, which torchmetrics divides in float32."""
    theirs = pytest.importorskip("sklearn.metrics")
    words = ["train", "dataset=breast_cancer", "metrics=[matthews_corr_coef]", "epochs=2", "threads=1", "report=false"]
    for lr in ("0.01", "0.0001"):
        assert main([*words, f"optimizer.lr={lr}"]) == 0
    assert main(["compare", "--sort", "val/matthews_corr_coef"]) == 0
    assert "validation rows alone" in " ".join(capsys.readouterr().out.split())
    found = val_rows.read(layout.find("latest"))
    assert found is not None
    guess, truth = found.others["prediction"].argmax(1), found.others["target"]
    chance = torch.Generator().manual_seed(0)
    for value in found.draws["matthews_corr_coef"][:20]:
        rows = torch.randint(len(truth), (len(truth),), generator=chance).numpy()
        assert value == pytest.approx(
            theirs.matthews_corrcoef(truth[rows], guess[rows]), abs=1e-6
        )  # it divides in float32


def test_without_the_file_the_seeds_are_left_and_eval_writes_it(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["-m", "dataset=wine", "optimizer.lr=0.01,0.0001", "seed=0,1,2", "epochs=3", "report=false", "sweep.jobs=1"]
    assert main(["train", *words]) == 0
    sweep = layout.find_sweep("latest")
    assert sweep is not None
    folders = [sweep / f"{number:03}" for number in range(6)]
    before = [(folder / layout.VAL_ROWS).read_bytes() for folder in folders]
    for folder in folders:
        (folder / layout.VAL_ROWS).unlink()
    found = rows.of_sweep(sweep)
    gap = pairs.difference(found[3:], found[:3], "val/acc")
    assert gap is not None
    assert (gap.rows, gap.seeds) == (0, 3)
    for folder in folders:
        assert main(["eval", str(folder)]) == 0
    assert [(folder / layout.VAL_ROWS).read_bytes() for folder in folders] == before
    gap = pairs.difference(found[3:], found[:3], "val/acc")
    assert gap is not None
    assert (gap.rows, gap.seeds) == (35, 3)


@pytest.mark.parametrize("how", ["nan", "no weight", "draws"])
def test_a_strangers_rows_are_compared_or_left_out(how: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Numbers that give no variance leave the seeds' part alone."""
    assert main(["train", "-m", "dataset=iris", "seed=0", "optimizer.lr=0.1,1e-4", "epochs=2", "sweep.jobs=1"]) == 0
    for sign, folder in zip((1, -1), sorted(Path("outputs/latest").glob("00?")), strict=True):
        found = val_rows.read(layout.opened(folder))
        assert found is not None
        values = {"acc": (found.values["acc"][0] * np.nan, found.values["acc"][1])}
        values = {"acc": (found.values["acc"][0], 0 * found.values["acc"][1])} if how == "no weight" else values
        drawn = {"acc": np.linspace(-1, 1, 200) * sign * 1e300} if how == "draws" else {}
        written = val_rows.ValRows(found.rows, {} if drawn else values, found.others, drawn)
        write(layout.opened(folder), written)
    capfd.readouterr()
    assert main(["compare", "--json"]) == 0
    said = capfd.readouterr()
    assert said.err == ""
    assert json.loads(said.out)["groups"][1]["difference_from_best"]["half_of_95"] is None
