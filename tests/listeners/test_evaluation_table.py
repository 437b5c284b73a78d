"""The table of evaluations: at most 78 columns and some 50 rows, whatever a run measures and however long it is."""

import csv
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.cli import main
from trainer.listeners.evaluation_table import MOST_ROWS, EvaluationTable, cell
from trainer.progress import Progress
from trainer.stopping import METRICS
from trainer.text import WIDTH

VALUES = (0.5, -12.3456, 1e9 / 3, -1e-300, -1.23456e300, float("nan"), float("-inf"))


@pytest.mark.parametrize("task", METRICS)
@settings(max_examples=40)
@given(st.integers(1, 2000), st.integers(1, 3000), st.integers(1, 500))
def test_any_run_is_shown_in_its_columns(task: str, num_rows: int, steps_per_epoch: int, eval_every: int) -> None:
    num_steps = max(1, num_rows * eval_every - eval_every // 3)
    names = ["train/loss", *(f"val/{name}" for name in METRICS[task])]
    table = EvaluationTable(Progress(num_steps, steps_per_epoch, eval_every), names)
    steps = [*range(eval_every, num_steps, eval_every), num_steps]
    shown = [step for step in steps if table.has_row(step)]
    assert shown[0] == steps[0]
    assert shown[-1] == num_steps
    assert len(steps) > MOST_ROWS or shown == steps
    assert len(shown) <= MOST_ROWS + 2
    for step in (steps[0], steps[len(steps) // 2], steps[-1]):
        for value in VALUES:
            row = table.row(step, dict.fromkeys(names, value))
            assert len(row) == len(table.head())
            assert len(row + " *") <= WIDTH + 2
            assert "e+" not in row.split()[0]
            assert len(row.split()) == 2 + len(names)


def test_long_runs_are_written_in_full_or_shortened() -> None:
    table = EvaluationTable(Progress(20_000 * 23, 23, 23), ["train/loss"])
    assert table.row(226 * 23, {"train/loss": 1.0}).split() == ["226/20k", "5,198", "1.0000"]
    table = EvaluationTable(Progress(9_000 * 23, 23, 23), ["train/loss"])
    assert table.row(1_226 * 23, {"train/loss": 1.0}).split() == ["1,226/9,000", "28,198", "1.0000"]
    table = EvaluationTable(Progress(160, 23, 50), ["train/loss"])
    assert table.row(50, {"train/loss": 1.0}).split() == ["2.17/6.96", "50", "1.0000"]
    assert cell(1e9 / 3, 9) == "3.33e+08"


def test_what_a_long_run_prints_and_keeps(capsys: pytest.CaptureFixture[str]) -> None:
    """By its rule, 1 in 5 of 120 evaluations; the last one too where a run stops early."""
    words = ["train", "dataset=iris", "threads=1", "report=false", "device=cpu", "epochs=120"]
    for more, is_last in (([], 120), (["early_stop.patience=2", "optimizer.lr=0.1"], None)):
        assert main([*words, *more]) == 0
        out = capsys.readouterr().out
        rows = [line.split() for line in out.splitlines() if "/120 " in line]
        with Path("outputs/latest/results.csv").open() as file:
            kept = [int(row["epoch"]) for row in csv.DictReader(file)]
        assert kept == list(range(1, (is_last or len(kept)) + 1))
        wanted = [epoch for epoch in kept if epoch in (1, kept[-1]) or epoch % 5 == 0]
        assert [int(row[0].removesuffix("/120")) for row in rows] == wanted
        assert is_last or kept[-1] < 120
        assert "rows     1 of 5 evaluations; metrics.jsonl holds all of them\n" in out
        assert Path("outputs/latest/train.log").read_text() == out
