"""val_rows.safetensors: its weighted means are the run's own numbers, for every task and loss, and pairs of runs are
compared by it."""

import json
from pathlib import Path

import numpy as np
import pytest

from trainer.cli import main
from trainer.compare import pairs, ranking, row_variance, rows
from trainer.disk import layout, val_rows

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
    for metric, ways in row_variance.METRICS.items():
        if f"val/{metric}" in best and found.others:
            prediction, target = found.others["prediction"], found.others["target"]
            way = ways[row_variance.kind(prediction, target)]
            assert way(prediction, target, np.ones(len(target))) == pytest.approx(best[f"val/{metric}"], rel=1e-5)


def test_two_runs_are_compared_row_by_row_and_as_a_bootstrap_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Accuracy has a value a row: its variance is that of a bootstrap over the rows, too."""

    def accuracy(prediction: np.ndarray, target: np.ndarray, times: np.ndarray) -> float:
        return float(times @ (prediction.argmax(1) == target) / times.sum())

    monkeypatch.setattr(row_variance, "METRICS", {"acc": {"classes": accuracy}})
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
    answers = [tuple((one.others["prediction"], one.others["target"]) for one in (first, second))]
    assert row_variance.by_bootstrap(answers, "acc") == pytest.approx(row_variance.of_mean(difference), rel=0.2)
    assert main(["compare"]) == 0
    assert "over the 359 validation rows alone (fewer than 3 pairs)" in " ".join(capsys.readouterr().out.split())


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
