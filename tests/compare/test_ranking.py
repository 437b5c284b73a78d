"""Rows into groups, groups into an order, the order into text."""

import csv
import io
import json
import math

import pytest

from trainer.compare import table
from trainer.compare.ranking import rank
from trainer.compare.rows import Row, differences, varied

pytestmark = pytest.mark.no_torch


def row(settings: dict[str, str], value: float, status: str = "ok", metric: str = "val/acc") -> Row:
    metrics = {} if math.isnan(value) else {metric: value}
    return Row("run", settings, status, metric, metrics, 1.0, 5, [3.0, 2.0, 1.0], None)


def settings(lr: str, seed: int) -> dict[str, str]:
    return {"optimizer.lr": lr, "seed": str(seed)}


def test_seeds_fold_and_a_group_with_a_failure_has_no_place() -> None:
    rows = [
        row(settings("0.1", 0), 0.7),
        row(settings("0.1", 1), 0.9),
        row(settings("0.2", 0), 0.99),
        row(settings("0.2", 1), math.nan, "diverged"),
        row(settings("0.3", 0), 0.75),
        row(settings("0.3", 1), 0.77),
        row(settings("0.4", 0), 0.1),
        row(settings("0.4", 1), 0.1),
    ]
    ranked = rank(rows, "val/acc")
    assert [group.settings["optimizer.lr"] for group in ranked.groups] == ["0.1", "0.3", "0.4", "0.2"]
    assert [ranked.within_noise(group) for group in ranked.groups[:3]] == [False, True, False]
    assert ranked.num_ranked == 3
    assert ranked.best is rows[1]
    assert ranked.shares is None
    head, first, *_, last = table.text_lines(ranked)
    assert head.split() == ["rank", "lr", "val/acc", "n", "vs", "best", "loss", "time"]
    assert first.split()[:5] == ["1", "0.1", "0.8000", "±0.1414", "2/2"]
    assert last.split()[:4] == ["-", "0.2", "0.9900", "1/2"]
    assert len(rank(rows, "val/acc", fold=False).groups) == 8


def test_a_loss_is_ranked_from_below_and_a_missing_metric_not_at_all() -> None:
    rows = [row({"a": "1"}, 2.0, metric="val/loss"), row({"a": "2"}, 1.0, metric="val/loss")]
    assert [group.settings["a"] for group in rank(rows, "val/loss").groups] == ["2", "1"]
    assert rank(rows, "val/acc").num_ranked == 0
    assert rank(rows, "val/acc").best is None


def test_only_what_varied_is_shown() -> None:
    typed = [["optimizer.lr=0.1", "epochs=3"], ["optimizer.lr=0.2", "epochs=3", "+model.x=1"]]
    assert varied(typed) == [{"optimizer.lr": "0.1"}, {"optimizer.lr": "0.2", "+model.x": "1"}]
    configs = [
        {"model": {"_target_": "a.MLP", "hidden": [8], "in_features": 4}, "dataset": {"_target_": "d.A"}, "seed": 0},
        {"model": {"_target_": "a.MLP", "hidden": [9], "in_features": 7}, "dataset": {"_target_": "d.B"}, "seed": 0},
    ]
    assert differences(configs)[1] == {"model.hidden": "[9]", "dataset": "B"}


def test_wide_tables_stay_within_78_columns_and_nothing_is_lost_elsewhere() -> None:
    rows = [row({f"model.setting_number_{n}": "x" * 40 for n in range(9)} | {"seed": "0"}, 0.5)]
    ranked = rank(rows, "val/acc")
    assert all(len(line) <= 78 for line in table.text_lines(ranked))
    read = list(csv.DictReader(io.StringIO(table.csv_text(rows))))
    assert read[0]["model.setting_number_8"] == "x" * 40
    assert json.loads(table.json_text(ranked))["groups"][0]["runs"][0]["metrics"] == {"val/acc": 0.5}


def test_sparkline() -> None:
    assert table.sparkline([3.0, 2.0, math.nan, 1.0]) == "█▅▁"
    assert table.sparkline([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], width=4) == "█▆▃▁"
    assert table.sparkline([1.0, 2.0], ascii_only=True).isascii()
    assert table.sparkline([math.inf]) == ""
