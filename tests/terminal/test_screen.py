"""Charts, histories and hints."""

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.disk import history
from trainer.report.hints import hint
from trainer.terminal.chart import chart

values = st.floats(allow_nan=True, allow_infinity=True, width=32)


@given(st.lists(values, max_size=300), st.lists(values, max_size=40), st.booleans())
def test_any_curve_fits_its_width_and_height(train: list[float], val: list[float], ascii_only: bool) -> None:
    curves = {"train": list(enumerate(train)), "val": [(7 * step, value) for step, value in enumerate(val)]}
    lines = chart(curves, title="loss", ascii_only=ascii_only)
    assert len(lines) in (0, 11)
    assert all(len(line) <= 78 for line in lines)
    assert not ascii_only or all(line.isascii() for line in lines)


def test_a_falling_curve_goes_from_the_upper_left_to_the_lower_right() -> None:
    lines = chart({"val": [(0, 4.0), (50, 3.0), (100, 2.0)]}, title="loss", height=5)
    cells = [line[10:].ljust(67) for line in lines[1:6]]
    assert (cells[0][0], cells[2][33], cells[4][66]) == ("o", "o", "o")
    assert sum(line.count("o") for line in cells) == 3
    assert lines[1].startswith("       4 ┤")
    assert lines[5].startswith("       2 ┤")
    assert lines[-1].rstrip().endswith("step 100")


def test_a_wide_range_gets_a_logarithmic_axis() -> None:
    lines = chart({"val": [(0, 1000.0), (1, 1.0)]}, title="loss", height=5)
    assert "log scale" in lines[0]
    assert float(lines[3].split()[0]) == pytest.approx(31.6)


def test_history_reads_what_a_kill_left(tmp_path: Path) -> None:
    rows = [
        {"step": 1, "epoch": 0.5, "train/loss": 2.0},
        {"step": 2, "epoch": 1, "eval": True, "train/loss": 1.5, "val/loss": None},
    ]
    text = "".join(json.dumps(row) + "\n" for row in rows) + '[1]\n{"step": "x", "train/loss": 1}\n{"step": 3, "tra'
    (tmp_path / "metrics.jsonl").write_text(text)
    past = history.read(tmp_path)
    assert past.curves["train"] == [(1, 2.0)]
    assert math.isnan(past.at(2)["val/loss"])
    assert past.at(3) == {}


def rows(train: list[float], val: list[float]) -> list[dict[str, float]]:
    pairs = zip(train, val, strict=True)
    return [{"epoch": epoch, "train/loss": a, "val/loss": b} for epoch, (a, b) in enumerate(pairs, 1)]


def test_hints_follow_their_rules() -> None:
    down = [1 / step for step in range(1, 21)]
    up_again = [*down[:8], *(0.2 + step / 10 for step in range(12))]
    flat = [1.0] * 20
    assert "epochs=40" in (hint(rows(down, down), lr=0.1, finished=True, longer="epochs=40") or "")
    assert hint(rows(down, down), lr=0.1, finished=False, longer="epochs=40") is None
    assert "has risen since epoch 8" in (hint(rows(down, up_again), lr=0.1, finished=True, longer="epochs=40") or "")
    assert "optimizer.lr=0.01" in (hint(rows(down[::-1], flat), lr=0.1, finished=True, longer="epochs=40") or "")
    assert hint(rows(flat, flat), lr=0.1, finished=True, longer="epochs=40") is None
