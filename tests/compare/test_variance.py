"""Shares of the variance against numbers worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.compare.variance import shares


def test_shares_of_a_two_by_two_grid_by_hand() -> None:
    grid = [
        ({"a": "1", "b": "1"}, 1.0),
        ({"a": "1", "b": "2"}, 2.0),
        ({"a": "2", "b": "1"}, 5.0),
        ({"a": "2", "b": "2"}, 8.0),
    ]
    # mean 4; total 9 + 4 + 1 + 16 = 30; a: 2·(1.5-4)² + 2·(6.5-4)² = 25; b: 2·(3-4)² + 2·(5-4)² = 4
    assert shares(grid) == pytest.approx({"a": 25 / 30, "b": 4 / 30})
    assert shares(grid[:3]) is None
    assert shares([*grid, grid[0]]) is None
    assert shares([(settings, 1.0) for settings, _ in grid]) is None


def test_two_runs_do_not_tell_what_mattered() -> None:
    assert shares([({"a": "1"}, 1.0), ({"a": "2"}, 2.0)]) is None
    assert shares([({"a": str(level)}, float(level)) for level in range(9)]) is None  # a level for each run


@given(st.lists(st.floats(-1e3, 1e3), min_size=12, max_size=12))
def test_shares_of_a_grid_never_exceed_the_whole(values: list[float]) -> None:
    cells = [{"a": str(a), "b": str(b), "c": str(c)} for a in range(3) for b in range(2) for c in range(2)]
    found = shares(list(zip(cells, values, strict=True)))
    assert found is None or (min(found.values()) >= 0 and sum(found.values()) <= 1 + 1e-9)
