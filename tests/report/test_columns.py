"""The bars of a page's importances: one scale, one number of decimals, and no surprise in any file."""

import pytest

from trainer.disk.importance import ColumnImportance, Importance
from trainer.report import columns


def bars(*values: tuple[float, float]) -> columns.Bars:
    """Of columns with these means and reaches."""
    each = [ColumnImportance(f"x{number}", *value) for number, value in enumerate(values)]
    return columns.bars(Importance("val/r2", "max", 0.9, 200, 10, each))


def test_bars_share_a_scale_that_holds_zero_and_all_intervals() -> None:
    found = bars((0.7, 0.1), (0.2, 0.05), (-0.1, 0.1))
    assert found.zero == 20
    assert [(bar.start, bar.width) for bar in found.bars] == [(20, 70), (20, 20), (10, 10)]
    assert [(bar.low, bar.high) for bar in found.bars] == [(80, 100), (35, 45), (0, 20)]


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([(0.6968, 0.032), (-0.00031, 0.0013)], ["0.6968 ± 0.0320", "-0.0003 ± 0.0013"]),
        ([(0.2, 0.0), (-0.00001, 0.0)], ["0.2000 ± 0.0000", "0.0000 ± 0.0000"]),
        ([(0.00123, 0.0001), (0.0767, 0.0173)], ["0.0012 ± 0.0001", "0.0767 ± 0.0173"]),
        ([(0.00123, 0.0001)], ["0.00123 ± 0.00010"]),
        ([(12345.6, 78.9)], ["12,346 ± 79"]),
        ([(0.0, 0.0)], ["0.0000 ± 0.0000"]),
        ([(5e-324, 0.0)], ["4.941e-324 ± 0.0000"]),
        ([(1e299, 1e299)], ["1e+299 ± 1e+299"]),
    ],
)
def test_columns_have_the_same_decimals(values: list[tuple[float, float]], texts: list[str]) -> None:
    found = bars(*values)
    assert [bar.text for bar in found.bars] == texts
    assert all(0 <= bar.low <= bar.high <= 100 for bar in found.bars)
