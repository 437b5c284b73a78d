"""Over dataset.fraction there is a curve for each configuration, and no ranking of one share against another."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Cli

from trainer.compare import marks, plain, table
from trainer.compare.protocol import Protocol, fraction
from trainer.compare.ranking import Ranking, rankings
from trainer.compare.rows import Row
from trainer.disk.sweep_plan import Job
from trainer.errors import ConfigError
from trainer.report import learning_curves
from trainer.sweep import lines
from trainer.sweep.comparable import check_comparable

KEY = "dataset.fraction"
RUN = Row("run", {}, "ok", "val/acc", {}, 1.0, 5, [], None, Protocol("Iris", "Iris"), num_val=50)


def row(model: str, share: float, seed: int, value: float, status: str = "ok") -> Row:
    settings = {KEY: f"{share:g}", "model": model, "seed": str(seed)}
    row = replace(RUN, name=f"{model}-{share:g}-{seed}", settings=settings, metrics={"val/acc": value}, status=status)
    return replace(row, seeds=(str(seed), "0", "0"), fraction=share, num_train=round(1200 * share))


def one(rows: list[Row]) -> Ranking:
    (ranked,) = rankings(rows)
    return ranked


# The best of all is a run on a tenth of the rows; cnn is the better one on all of them.
ROWS = [
    row("mlp", 1, 0, 0.7), row("mlp", 1, 1, 0.9), row("mlp", 0.1, 0, 0.99), row("mlp", 0.1, 1, 0.93),
    row("mlp", 0.5, 0, 0.5), row("cnn", 0.1, 0, 0.2), row("cnn", 1, 0, 0.85), row("cnn", 1, 1, 0.95),
]  # fmt: skip


@pytest.mark.no_torch
def test_each_configuration_is_a_curve_in_order_of_its_rows_and_has_no_rank() -> None:
    ranked = one(ROWS)
    head, *found = [line.split() for line in table.text_lines(ranked)]
    assert head == ["model", "fraction", "rows", "val/acc", "n", "curve", "time"]
    # standard deviations: of 0.85 and 0.95 0.1/√2, of 0.7 and 0.9 0.2/√2, of 0.99 and 0.93 0.06/√2
    assert [line[:-2] for line in found] == [
        ["cnn", "0.1", "120", "0.2000", "1"],
        ["cnn", "1", "1,200", "0.9000", "±0.0707", "2"],
        ["mlp", "0.1", "120", "0.9600", "±0.0424", "2"],
        ["mlp", "0.5", "600", "0.5000", "1"],
        ["mlp", "1", "1,200", "0.8000", "±0.1414", "2"],
    ]
    notes = "\n".join(marks.footnotes(ranked))
    assert "best is of dataset.fraction=1, the largest" in notes
    assert "mattered" not in notes
    assert (ranked.best, ranked.shares) == (ROWS[7], None)
    assert list(ranked.gaps) == [1]  # only the two on all rows are compared in pairs
    assert lines.ranked_by([ranked]) == "by val/acc (max) over the training rows"

    ranks = {(g["settings"]["model"], g["fraction"]): g["rank"] for g in plain.as_data([ranked])["groups"]}
    assert ranks == {("cnn", 1): 1, ("mlp", 1): 2, ("mlp", 0.5): None, ("mlp", 0.1): None, ("cnn", 0.1): None}
    assert plain.as_data([ranked])["rankings"][0]["is_learning_curve"]
    written = list(csv.DictReader(io.StringIO(table.csv_text(ROWS, [ranked]))))
    assert [(line["rank"], line["num_train"]) for line in written[2:4]] == [("-", "120")] * 2

    plot = learning_curves.plot(ranked)
    assert [trace.name for trace in plot.traces] == ["model=cnn", "model=mlp"]
    assert plot.traces[1].at == [120, 600, 1200]
    assert plot.traces[1].values == [0.96, 0.5, 0.8]
    x = [float(word.split()[0]) for word in plot.traces[1].path.replace("M", "L").split("L")[1:]]
    assert x == [0, pytest.approx(2000 * 0.699, abs=1), 2000]  # log10(600 / 120) = 0.699 of a decade


@pytest.mark.no_torch
def test_a_configuration_on_all_rows_alone_keeps_the_ranking_in_which_smaller_shares_have_no_place() -> None:
    ranked = one([*ROWS, row("linear", 1, 0, 0.99)])
    assert ranked.curves == []
    places = [(group.settings["model"], group.fraction, ranked.place(at)) for at, group in enumerate(ranked.groups)]
    assert places[0] == ("linear", 1.0, ("1", "best"))
    assert [place[0] for _, _, place in places] == ["1", "2", "3", "-", "-", "-"]
    assert [share for _, share, _ in places] == [1, 1, 1, 0.5, 0.1, 0.1]
    assert "fraction only lines of dataset.fraction=1, the largest, are ranked" in marks.footnotes(ranked)
    assert one([row("mlp", 0.5, 0, 0.4), row("cnn", 0.5, 0, 0.5)]).num_ranked == 2  # one share is a ranking


@pytest.mark.no_torch
def test_the_largest_share_is_the_largest_with_a_value() -> None:
    ranked = one([row("mlp", 1, 0, 0.9, "failed"), row("mlp", 0.5, 0, 0.6), row("mlp", 0.1, 0, 0.7)])
    assert (ranked.best.name, ranked.share) == ("mlp-0.5-0", "dataset.fraction=0.5, the largest")
    assert [line.split()[3] for line in table.text_lines(ranked)[1:]] == ["0.7000", "0.6000", "failed"]
    assert [fraction({"dataset": {"fraction": value}}) for value in (0.1, 1, None, "all", 7, float("nan"))] == [
        0.1, 1, 1, 1, 1, 1,
    ]  # fmt: skip


@pytest.mark.no_torch
def test_a_search_over_shares_is_refused() -> None:
    jobs = [Job(number, [], {"dataset": {"fraction": share}}) for number, share in enumerate((0.1, 1.0))]
    with pytest.raises(ConfigError, match="the same data and split"):
        check_comparable(jobs, "val/acc")


@pytest.mark.slow
def test_a_sweep_over_the_rows_ends_in_a_curve(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", "-m", "dataset=iris", "dataset.fraction=0.1,0.5,1", "epochs=1")
    assert (done.returncode, done.stderr) == (0, "")
    assert "; by val/acc (max) over the training rows" in done.stdout
    assert "rank" not in done.stdout.replace("ranked against", "")
    assert "12 rows" in done.stdout  # below the chart
    assert max(map(len, done.stdout.splitlines())) <= 78
    compared = cli("compare")
    assert "fraction  rows  val/acc" in compared.stdout
    best = cli("eval", "latest")
    assert "/002: val/acc" in best.stdout
    assert "dataset.fraction=1, the largest" in " ".join(best.stdout.split())
    assert cli("eval", "latest", "--top", "2").returncode == 2  # one line of the ranking
    ranking = json.loads((tmp_path / "outputs/latest/sweep.json").read_text())["ranking"]
    assert [group["num_train"] for group in ranking["groups"]] == [120, 60, 12]
    page = (tmp_path / "outputs/latest/report.html").read_text()
    assert "val/acc over the training rows" in page
    assert ">rank<" not in page
