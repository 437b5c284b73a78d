"""Which evaluation is better: the metric, then the loss; patience looks at the metric alone."""

import csv
import json
import math
from functools import cache
from pathlib import Path

import pytest
import torch
from conftest import config
from hypothesis import given
from hypothesis import strategies as st

from trainer import checkpoint
from trainer.build.build import build
from trainer.cli import main
from trainer.config.schema import EarlyStop
from trainer.disk import json_text
from trainer.errors import ConfigError
from trainer.state import TrainState
from trainer.stopping import MODES, MONITORS, Stopping, make_stopping

NUMBERS = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, math.nan])  # few, so that many are equal


@cache
def iris() -> TrainState:
    return build(config("dataset=iris", "threads=1", "device=cpu"))[0]


def judged(run: TrainState, rows: list[tuple[float, float]]) -> list[bool]:
    """Judge evaluations of (accuracy, loss), one a step, with the step written into the weights."""
    marks = []
    for acc, loss in rows:
        run.progress.step += 1
        with torch.no_grad():
            next(iter(run.model.parameters())).fill_(run.progress.step)
        marks.append(run.judge({"train/loss": 0.0, "val/loss": loss, "val/acc": acc}))
    return marks


def kept(run: TrainState) -> int:
    assert run.best_weights is not None
    return int(next(iter(run.best_weights.values())).flatten()[0])


@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=8), st.sampled_from([0.0, 0.3]))
def test_the_kept_weights_are_the_first_of_the_best_by_metric_then_loss(
    rows: list[tuple[float, float]], min_delta: float
) -> None:
    run = iris()
    run.stopping = Stopping("val/acc", None, min_delta, "max")
    run.progress.step, run.progress.best, run.progress.best_loss, run.progress.reference = 0, None, None, None
    run.progress.bad_evaluations, run.best_weights = 0, None
    marks = judged(run, rows)
    known = [(step, acc, loss if loss == loss else math.inf) for step, (acc, loss) in enumerate(rows, 1) if acc == acc]
    if known:
        step, *_ = min(known, key=lambda row: (-row[1], row[2], row[0]))
        assert run.progress.best_step == kept(run) == step == max(i for i, mark in enumerate(marks, 1) if mark)
    assert any(marks) == bool(known) == (run.best_weights is not None)
    reference, bad = math.nan, 0  # patience, from the values of the metric alone
    for acc, _ in rows:
        better = acc - reference > min_delta if not math.isnan(reference) else not math.isnan(acc)
        reference, bad = (acc, 0) if better else (reference, bad + 1)
    assert run.progress.bad_evaluations == bad


def test_a_tie_changes_what_is_kept_but_not_patience() -> None:
    run, _ = build(config("dataset=iris", "threads=1", "device=cpu", "early_stop.patience=3"))
    assert judged(run, [(0.5, 0.9), (0.9, 0.8), (0.9, 0.7), (0.9, 0.7)]) == [True, True, True, False]
    assert (run.progress.best_step, run.progress.best_loss, run.progress.bad_evaluations) == (3, 0.7, 2)
    assert judged(run, [(0.9, 0.1)]) == [True]
    assert run.progress.stop_reason == "early stop"
    assert kept(run) == run.progress.best_step == 5


def test_min_delta_decides_patience_only() -> None:
    run, _ = build(config("dataset=iris", "early_stop.min_delta=0.05", "early_stop.patience=5"))
    assert judged(run, [(0.94, 0.3), (0.967, 0.3), (1.0, 0.3), (1.0, 0.4)]) == [True, True, True, False]
    assert (run.progress.best, run.progress.best_step, kept(run)) == (1.0, 3, 3)
    assert (run.progress.reference, run.progress.bad_evaluations) == (1.0, 1)  # 1.0 is 0.06 above 0.94


def test_wine_keeps_the_lowest_loss_of_the_highest_accuracy(capsys: pytest.CaptureFixture[str]) -> None:
    """Computed again from results.csv; then resumed from a checkpoint without the fields that 0.1.0 did not have."""
    words = ["dataset=wine", "optimizer.lr=0.02", "threads=1", "device=cpu"]
    assert main(["train", *words, "epochs=20", "report=false"]) == 0
    (folder,) = Path("outputs").glob("2*/*")
    with (folder / "results.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    best = max(rows, key=lambda row: (row["val/acc"], -row["val/loss"]))
    first = max(rows, key=lambda row: row["val/acc"])
    assert best["val/loss"] < first["val/loss"] / 2
    summary = json.loads((folder / "summary.json").read_text())["best"]
    assert summary == {name: best[name] for name in summary}
    starred = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.endswith(" *")]
    assert starred[-1] == f"{best['step']:.0f}"

    path = checkpoint.checkpoints(folder)[-1]
    files = {file.name: file.read_bytes() for file in path.iterdir()}
    state = json.loads(files[checkpoint.STATE])
    progress = json_text.decode(state["progress"])
    assert progress["reference"] == progress["best"]  # so nothing else is lost
    del progress["reference"], progress["best_loss"]
    files[checkpoint.STATE] = json.dumps({**state, "progress": json_text.encode(progress)}).encode()
    run, _ = build(config(*words, "epochs=40"))
    checkpoint.load(run, files, path)
    assert (run.progress.reference, run.progress.best_loss) == (best["val/acc"], best["val/loss"])
    assert judged(run, [(best["val/acc"], 0.5), (best["val/acc"], 0.0)]) == [False, True]


def test_the_direction_of_every_metric_and_a_monitor_that_no_run_has() -> None:
    larger = {name for name, mode in MODES.items() if mode == "max"}
    assert larger == {"acc", "f1", "balanced_acc", "r2", "subset_acc", "iou"}
    assert {name.removeprefix("val/") for name in MONITORS} == {"train/loss", *MODES}
    with pytest.raises(ConfigError, match="val/r2"):
        make_stopping("val/r2", EarlyStop(None, 0.0), {"loss": "min", "acc": "max"}, "acc")


def test_a_metric_that_does_not_say_asks_for_its_direction() -> None:
    never, modes = EarlyStop(None, 0.0), {"loss": "min", "acc": "max", "specificity": None}
    with pytest.raises(ConfigError) as caught:
        make_stopping("val/specificity", never, modes, "acc")
    assert caught.value.hint == "monitor_mode=max"
    found = make_stopping("val/specificity", never, modes, "acc", "max")
    assert found.mode == "max"
    assert found.modes == {"train/loss": "min", "val/loss": "min", "val/acc": "max", "val/specificity": "max"}
    assert make_stopping("auto", never, modes, "acc").modes == {
        "train/loss": "min",
        "val/loss": "min",
        "val/acc": "max",
    }
    with pytest.raises(ConfigError, match="monitor_mode=min, but of val/acc more is better"):
        make_stopping("auto", never, modes, "acc", "min")


@pytest.mark.parametrize(
    ("typed", "text", "hint"),
    [
        ("f1", "this run reports no such metric", "monitor=val/f1"),
        ("acc", "this run reports no such metric", "monitor=val/acc"),
        ("loss", "this run reports no such metric", "monitor=val/loss"),
        ("test/acc", "this run reports no such metric", "monitor=val/acc"),
        ("ac", "this run reports no such metric. Did you mean val/acc?", "monitor=val/acc"),
        (
            "val/auroc",
            "this run reports no such metric; it has train/loss, val/loss, val/acc, val/f1",
            "'metrics=[auroc]' monitor=val/auroc",
        ),
        ("val/r2", "this run reports no such metric; it has train/loss, val/loss, val/acc, val/f1", "monitor=auto"),
    ],
)
def test_a_short_metric_name_is_completed(typed: str, text: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_stopping(typed, EarlyStop(None, 0.0), {"loss": "min", "acc": "max", "f1": "max"}, "acc")
    assert (caught.value.message, caught.value.hint) == (f"monitor={typed}: {text}", hint)
