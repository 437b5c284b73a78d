"""Intervals against published tables, and against numbers worked out by hand."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.compare.interval import difference, interval, student, wilson

pytestmark = pytest.mark.no_torch


@pytest.mark.parametrize(
    ("hits", "rows", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_a_proportion_as_in_newcombe_1998_table_1(hits: int, rows: int, low: float, high: float) -> None:
    assert wilson(hits / rows, rows) == pytest.approx((low, high), abs=5e-5)
    assert interval([hits / rows], rows) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
    ],
)
def test_a_difference_as_in_newcombe_1998_method_10(
    first: tuple[int, int], second: tuple[int, int], expected: tuple[float, float]
) -> None:
    a, b = first[0] / first[1], second[0] / second[1]
    found = difference(a, wilson(a, first[1]), b, wilson(b, second[1]))
    assert found == pytest.approx(expected, abs=5e-5)


def test_students_quantiles_as_in_every_table() -> None:
    table = {1: 12.706, 2: 4.303, 5: 2.571, 9: 2.262, 10: 2.228, 11: 2.201, 15: 2.131, 20: 2.086, 30: 2.042, 120: 1.980}
    assert {freedom: round(student(freedom), 3) for freedom in table} == table


def test_the_spread_over_seeds_by_hand() -> None:
    # mean 2, s = 1, t(2) = 4.3027: 2 ± 4.3027 / √3
    assert interval([1.0, 2.0, 3.0]) == pytest.approx((2 - 2.48417, 2 + 2.48417), abs=1e-4)
    # of 100 rows 0.8 are right: Wilson 0.71111 to 0.86664; s = 0.1, s / √4 = 0.05, t(3) · 0.05 = 3.1824 · 0.05
    low, high = math.hypot(0.8 - 0.71111, 0.15912), math.hypot(0.86664 - 0.8, 0.15912)
    values = [0.8 - 0.1 * math.sqrt(0.75), 0.8 + 0.1 * math.sqrt(0.75), 0.8 - 0.1 * math.sqrt(0.75)]
    assert interval([*values, values[1]], 100) == pytest.approx((0.8 - low, 0.8 + high), abs=1e-4)


def test_two_seeds_of_a_bounded_metric_do_not_reach_beyond_it() -> None:
    assert interval([0.94, 1.0]) is None  # t(1) · s / √2 would give 0.97 ± 0.38
    # Wilson of 29.1 in 30: 0.8382 to 0.9951; s / √2 = 0.03, and √((0.97 - 0.8382)² + (1.96 · 0.03)²) = 0.1443
    assert interval([0.94, 1.0], 30) == pytest.approx((0.97 - 0.1443, 1.0), abs=1e-4)
    assert interval([0.2, 0.9], 10_000) == (0.0, 1.0)
    low, high = interval([0.5, 0.9, 1.0], bounds=(0.0, 1.0))  # 0.8 ± 4.3027 · 0.26458 / √3 = 0.8 ± 0.6573
    assert (low, high) == pytest.approx((0.8 - 0.65725, 1.0), abs=1e-4)


def test_runs_that_agree_are_no_evidence() -> None:
    assert interval([0.25]) is None
    assert interval([0.25, 0.25]) is None
    assert interval([1.0, 1.0], 359) == pytest.approx((359 / (359 + 1.959964**2), 1.0))


def test_two_of_359_pictures_are_a_tie_and_forty_are_not() -> None:
    def differ(right: int, best: int) -> bool:
        low, _ = difference(best / 359, wilson(best / 359, 359), right / 359, wilson(right / 359, 359))
        return low > 0

    assert not differ(348, 350)
    assert not differ(357, 359)
    assert differ(310, 350)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.integers(1, 10_000))
def test_an_interval_holds_its_mean_and_narrows_with_more_rows(values: list[float], rows: int) -> None:
    mean = math.fsum(values) / len(values)
    few, many = interval(values, rows), interval(values, 10 * rows)
    assert few is not None
    assert many is not None
    assert 0 <= few[0] <= many[0] + 1e-12 <= mean + 2e-12
    assert mean - 2e-12 <= many[1] - 1e-12 <= few[1] <= 1
