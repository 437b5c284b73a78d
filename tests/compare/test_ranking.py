"""Rows into groups, groups into an order, the order into text."""

import csv
import io
import json
import math
from dataclasses import replace

import pytest

from trainer.compare import marks, plain, table
from trainer.compare.protocol import Protocol, protocol
from trainer.compare.ranking import labels, rank, rankings
from trainer.compare.rows import Row, differences, varied
from trainer.compare.rows import settings as found_settings
from trainer.disk.sweep_plan import Job

pytestmark = pytest.mark.no_torch


def row(
    settings: dict[str, str], value: float, status: str = "ok", metric: str = "val/acc", num_val: int | None = 1000,
    name: str = "run", data: str = "Iris",
) -> Row:  # fmt: skip
    metrics = {} if math.isnan(value) else {metric: value}
    seeds = tuple(settings[key] for key in ("seed", "dataset.split_seed") if key in settings)
    how = Protocol(data, data)
    return Row(name, settings, status, metric, metrics, 1.0, 5, [3.0, 2.0, 1.0], None, how, seeds, num_val)


def settings(lr: str, seed: int) -> dict[str, str]:
    return {"optimizer.lr": lr, "seed": str(seed)}


def test_seeds_fold_and_a_group_with_a_failure_has_no_place() -> None:
    rows = [
        row(settings("0.1", 0), 0.79),
        row(settings("0.1", 1), 0.81),
        row(settings("0.2", 0), 0.99),
        row(settings("0.2", 1), math.nan, "diverged"),
        row(settings("0.3", 0), 0.77),
        row(settings("0.3", 1), 0.79),
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
    assert head.split() == ["rank", "lr", "val/acc", "n", "vs", "best", "curve", "time"]
    # Wilson, 0.8 of 1,000: 0.77412 to 0.82363; s / √2 = 0.01, so √((0.8 - 0.77412)² + (1.96 · 0.01)²) = 0.0325
    assert first.split()[:5] == ["1", "0.1", "0.8000", "±0.0325", "2"]
    assert any(note.startswith("n 2 ") for note in marks.footnotes(ranked))
    assert last.split()[:5] == ["-", "0.2", "0.9900", "±0.0083", "1/2"]
    assert len(rank(rows, "val/acc", fold=False).groups) == 8


def test_a_setting_with_a_failure_holds_the_best_run_where_there_is_no_other() -> None:
    rows = [row(settings("0.1", 0), math.nan, "failed"), row(settings("0.1", 1), 0.8)]
    assert rank(rows, "val/acc").num_ranked == 0
    assert rank(rows, "val/acc").best is rows[1]


def test_equal_seeds_are_repeats_and_not_evidence() -> None:
    def loss(seed: int, value: float, split_seed: str = "0") -> Row:
        return row(settings("0.1", seed) | {"dataset.split_seed": split_seed}, value, metric="val/loss")

    once, twice = rank([loss(0, 0.25)], "val/loss"), rank([loss(0, 0.25), loss(0, 0.25)], "val/loss")
    assert twice.groups[0].values == once.groups[0].values == [0.25]
    assert twice.groups[0].interval is None
    assert "repeats  1: " in "\n".join(marks.footnotes(twice))
    three = rank([loss(0, 0.2), loss(0, 0.4), loss(1, 0.5), loss(0, 0.6, "7")], "val/loss").groups
    assert [group.values for group in three] == [pytest.approx([0.3, 0.5, 0.6])]
    assert table.seeds_text(three[0]) == "3"


def test_without_the_number_of_validation_rows_accuracy_counts_on_the_seeds_alone_and_says_so() -> None:
    rows = [row(settings("0.1", seed), value, num_val=None) for seed, value in enumerate([0.79, 0.8, 0.81])]
    ranked = rank(rows, "val/acc")
    assert ranked.groups[0].interval == pytest.approx((0.8 - 0.0248417, 0.8 + 0.0248417))  # 4.3027 · 0.01 / √3
    assert "was not recorded" in marks.footnotes(ranked)[0]
    alone = rank(rows[:1], "val/acc")
    assert alone.groups[0].interval is None
    assert marks.footnotes(alone)[0].startswith("no ±")


@pytest.mark.parametrize("other", ["val/perplexity", "val/iou"])
def test_a_share_of_positions_or_pixels_is_no_share_of_the_rows(other: str) -> None:
    rows = [replace(row({}, 0.8), modes={"val/acc": "max", other: "max"})]
    assert rank(rows, "val/acc").groups[0].interval is None
    assert rank([row({}, 0.8)], "val/acc").groups[0].num_rows == 1000


@pytest.mark.parametrize(("metric", "least"), [("val/perplexity", 1.0), ("val/bits", 0.0)])
def test_an_interval_stays_where_the_metric_can_be(metric: str, least: float) -> None:
    rows = [row(settings("0.1", seed), least + value, metric=metric) for seed, value in enumerate([0.0, 0.1, 0.6])]
    found = rank(rows, metric).groups[0].interval
    assert found is not None
    assert found[0] == least


def test_without_evidence_every_row_is_marked() -> None:
    rows = [row({"a": value}, loss, metric="val/loss") for value, loss in (("1", 0.1), ("2", 5.0), ("3", 7.0))]
    ranked = rank([*rows, row({"a": "4"}, math.nan, "failed", metric="val/loss")], "val/loss")
    lines = [line for line in table.text_lines(ranked) if "~" in line]
    assert [line.split()[1] for line in lines] == ["2", "3"]
    assert [mark for mark, _ in marks.marks(ranked)] == ["~", "no ±"]
    assert ranked.within_noise(ranked.groups[1]) is None


def test_each_data_split_and_metric_has_its_own_ranking() -> None:
    def config(dataset: dict, **more: object) -> dict:
        return {
            "dataset": {"val_fraction": 0.2, "split_seed": 0} | dataset,
            "loss": {"_target_": "torch.nn.MSELoss"},
        } | more

    def key(config: dict, metric: str = "val/acc") -> tuple[str, ...]:
        return protocol(config).key(metric)

    iris, table_ = {"_target_": "trainer.data.embedded.Iris"}, {"_target_": "trainer.data.table.Table", "path": "a.csv"}
    own = {"_target_": "my.Data", "augment": False}
    assert key(config(iris)) == key(config(iris | {"split_seed": 3, "fold": 1}, seed=4))
    assert key(config(iris)) != key(config(iris | {"val_fraction": 0.3}))
    assert key(config(iris | {"folds": 5})) != key(config(iris | {"folds": 10}))
    assert key(config(iris)) != key(config({"_target_": "trainer.data.embedded.Wine"}))
    assert key(config(table_)) == key(config(table_ | {"drop": ["x"], "delimiter": ";", "missing": ["-"]}))
    for other in ({"path": "b.csv"}, {"target": "y"}, {"split": "time"}, {"split_by": "day"}, {"val_path": "v.csv"}):
        assert key(config(table_)) != key(config(table_ | other))
    assert key(config(own)) != key(config(own | {"augment": True}))
    l1 = {"_target_": "torch.nn.L1Loss"}
    assert key(config(iris)) == key(config(iris, loss=l1))
    assert key(config(iris), "val/loss") != key(config(iris, loss=l1), "val/loss")


def test_one_loss_by_two_names_is_one() -> None:
    def how(node: dict, resolved: str = "") -> Protocol:
        return protocol({"dataset": {"_target_": "trainer.data.embedded.Diabetes"}, "loss": node}, "", resolved)

    mse, auto, cross = "torch.nn.MSELoss", {"_target_": "auto", "weight": None}, "torch.nn.CrossEntropyLoss"
    same = {"_target_": cross, "weight": None, "ignore_index": -100, "label_smoothing": 0.0}
    assert how(auto, mse).key("val/loss") == how({"_target_": mse}, mse).key("val/loss")
    assert how(auto, cross).key("val/loss") == how(same).key("val/loss")
    others = [how(same | other, cross) for other in ({}, {"label_smoothing": 0.1}, {"label_smoothing": 0.2})]
    assert len({other.key("val/loss") for other in others}) == 3
    assert labels([(other, "val/loss") for other in others[1:]]) == [
        "Diabetes loss.label_smoothing=0.1", "Diabetes loss.label_smoothing=0.2",
    ]  # fmt: skip
    rows = [row({"a": name}, 1.0, metric="val/loss", name=name) for name in "abc"]
    kinds = [how(auto, mse), how({"_target_": mse}, mse), how(auto)]  # the last one has not begun
    rows = [replace(own, protocol=kind) for own, kind in zip(rows, kinds, strict=True)]
    assert [ranked.num_runs for ranked in rankings(rows)] == [3]


def test_a_value_that_follows_the_seed_is_another_setting() -> None:
    def job(number: int, hidden: int, *words: str) -> Job:
        typed = dict(word.split("=") for word in words)
        data = {
            "seed": int(typed["seed"]),
            "model": {"hidden": [hidden]},
            "dataset": {"split_seed": int(typed["seed"])},
        }
        return Job(number, list(words), data | {"optimizer": {"lr": typed["optimizer.lr"]}})

    grid = [(lr, seed) for lr in ("0.1", "0.2") for seed in (8, 16)]
    for own_hidden, expected in (
        (True, [("0.1", "[8]"), ("0.1", "[16]"), ("0.2", "[8]"), ("0.2", "[16]")]),
        (False, [("0.1", None), ("0.2", None)]),
    ):
        jobs = [
            job(number, seed if own_hidden else 4, f"optimizer.lr={lr}", f"seed={seed}")
            for number, (lr, seed) in enumerate(grid)
        ]
        ranked = rank([row(own, 0.9) for own in found_settings(jobs)], "val/acc")
        found = [(group.settings["optimizer.lr"], group.settings.get("model.hidden")) for group in ranked.groups]
        assert found == expected


def test_rankings_stand_apart_and_nothing_is_lost() -> None:
    rows = [
        row({"dataset": "iris", "model": "mlp", "seed": "0"}, 0.9, name="a"),
        row({"dataset": "wine", "model": "mlp", "seed": "0"}, 0.8, name="b", data="Wine"),
        row({"dataset": "iris", "model": "cnn", "seed": "0"}, 0.7, name="c"),
        row({"dataset": "wine", "model": "cnn", "seed": "0"}, math.nan, "failed", name="d", data="Wine", metric=""),
        row({"dataset": "iris", "model": "cnn", "seed": "0"}, 0.5, name="e", metric="val/loss"),
    ]
    ranked = rankings(rows)
    assert [(part.data, part.metric, part.best and part.best.name) for part in ranked] == [
        ("Iris", "val/acc", "a"), ("Wine", "val/acc", "b"), ("Iris", "val/loss", "e"),
    ]  # fmt: skip
    assert [group.settings for group in ranked[0].groups] == [{"model": "mlp"}, {"model": "cnn"}]
    data = json.loads(plain.json_text(ranked))
    assert [(group["ranking"], group["data"], group["rank"]) for group in data["groups"]] == [
        (0, "Iris", 1), (0, "Iris", 2), (1, "Wine", 1), (1, "Wine", None), (2, "Iris", 1),
    ]  # fmt: skip
    assert (data["metric"], data["rankings"][2]["metric"], data["rankings"][1]["best"]) == ("val/acc", "val/loss", "b")
    lines = list(csv.DictReader(io.StringIO(table.csv_text(rows, ranked))))
    assert [(line["run"], line["dataset"], line["data"], line["metric"], line["rank"]) for line in lines] == [
        ("a", "iris", "Iris", "val/acc", "1"), ("b", "wine", "Wine", "val/acc", "1"),
        ("c", "iris", "Iris", "val/acc", "2"), ("d", "wine", "Wine", "val/acc", "-"),
        ("e", "iris", "Iris", "val/loss", "1"),
    ]  # fmt: skip
    assert table.markdown(ranked).count("**") == 6
    assert [part.metric for part in rankings(rows, "val/loss")] == ["val/loss"] * 2


def test_data_of_one_name_are_told_apart() -> None:
    def named(data: str, **own: str) -> Protocol:
        return Protocol("Iris", data, settings=own)

    pairs = [(named("1", val_fraction="0.2"), "val/acc"), (named("1", val_fraction="0.3"), "val/acc")]
    assert labels(pairs) == ["Iris val_fraction=0.2", "Iris val_fraction=0.3"]
    pairs = [(named("1", loss="MSELoss"), "val/acc"), (named("2", loss="MSELoss"), "val/acc"), (named("1"), "val/loss")]
    assert labels(pairs) == ["Iris", "Iris (2)", "Iris"]


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
    own = [{"model": {"_target_": f"{place}.Net", "in_features": size}} for place, size in (("a", 4), ("b", 4))]
    assert differences(own) == [{"model": "a.Net"}, {"model": "b.Net"}]
    split = [{"dataset": {"split_seed": size}, "model": {"in_features": size}} for size in (4, 5)]
    assert differences(split)[0] == {"dataset.split_seed": "4"}  # the split decides how many columns there are


def test_wide_tables_stay_within_78_columns_and_nothing_is_lost_elsewhere() -> None:
    rows = [row({f"model.setting_number_{n}": "x" * 40 for n in range(9)} | {"seed": "0"}, 0.5)]
    ranked = rank(rows, "val/acc")
    lines = table.text_lines(ranked)
    assert all(len(line) <= 78 for line in lines)
    assert lines[1].split()[-3:] == ["0.5000", "±0.0309", "1"]  # Wilson, 0.5 of 1,000: 0.46907 to 0.53093
    read = list(csv.DictReader(io.StringIO(table.csv_text(rows, [ranked]))))
    assert read[0]["model.setting_number_8"] == "x" * 40
    assert json.loads(plain.json_text([ranked]))["groups"][0]["runs"][0]["metrics"] == {"val/acc": 0.5}


def test_sparkline() -> None:
    assert table.sparkline([3.0, 2.0, math.nan, 1.0]) == "█▅▁"
    assert table.sparkline([8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0], width=4) == "█▆▃▁"
    assert table.sparkline([1.0, 2.0], ascii_only=True).isascii()
    assert table.sparkline([math.inf]) == ""


def test_the_folds_of_one_cut_are_one_split_of_all_its_rows() -> None:
    """178 rows in five folds, cut twice: Wilson's part is that of 178 rows, not of 35."""
    found = [
        replace(row({}, 0.9, num_val=35 + (fold < 3)), seeds=(str(seed), "0", str(5 * cut + fold)), fold=(cut, fold))
        for cut in (0, 1)
        for fold in range(5)
        for seed in (0, 1)
    ]
    assert rank(found, "val/acc").groups[0].num_rows == 178
    apart = [replace(one, fold=None) for one in found]
    assert rank(apart, "val/acc").groups[0].num_rows == 35


@pytest.mark.parametrize("target", [["a"], {"b": "c"}, None])
def test_the_config_of_another_author_may_hold_anything_in_place_of_a_target(target: object) -> None:
    assert protocol({"dataset": {"_target_": target}, "loss": {"_target_": target}}).split == "{}"
