"""Scales, ticks and thinning."""

import math
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trainer.report import plots, scales
from trainer.report.scales import Scale, fit, thinned

pytestmark = pytest.mark.no_torch

NUMBERS = st.floats(-1e300, 1e300)


def test_a_million_points_keep_their_peaks() -> None:
    chance = random.Random(1)
    points = [(10.0 * i, chance.random()) for i in range(1_000_000)]
    points[567_890], points[123_456] = (5_678_900.0, 55.5), (1_234_560.0, -3.25)
    points[700_000] = (7_000_000.0, math.nan)
    kept = thinned(points, 500)
    assert len(kept) <= 4 * 500 + 1
    assert kept == sorted(kept, key=lambda point: point[0])
    assert {(5_678_900.0, 55.5), (1_234_560.0, -3.25), points[0], points[-1]} <= set(kept)
    drawn = plots.curves("", [("train", "", points)])
    assert drawn is not None
    assert 55.5 in drawn.traces[0].values
    assert len(drawn.traces[0].path) < 20_000


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=400), st.integers(1, 30))
def test_thinning_keeps_the_extremes_of_each_column(values: list[float], columns: int) -> None:
    points = list(enumerate(values))
    kept = thinned(points, columns)
    assert set(kept) <= set(points)
    assert kept == sorted(kept)
    assert len(kept) <= 4 * columns
    width = (len(points) - 1) / columns or 1.0
    for column in range(columns):
        inside = [v for i, v in points if min(columns - 1, int(i / width)) == column]
        left = [v for i, v in kept if min(columns - 1, int(i / width)) == column]
        assert not inside or (min(left), max(left)) == (min(inside), max(inside))


@given(st.lists(NUMBERS, min_size=1, max_size=20), st.booleans())
@example([1.0, 1.1125369292536007e-308], True)
def test_every_value_has_a_place_and_every_tick_another_label(values: list[float], logarithmic: bool) -> None:
    scale = fit(values, may_be_logarithmic=logarithmic)
    assert scale is not None
    assert all(0 <= scale.place(value) <= 1 for value in values)
    ticks = scale.ticks()
    assert all(-1e-6 <= place <= 1 + 1e-6 for place, _ in ticks)
    assert [place for place, _ in ticks] == sorted(place for place, _ in ticks)
    assert len(ticks) <= 7


def test_ticks_as_one_would_choose_them() -> None:
    assert [text for _, text in Scale(0, 460).ticks()] == ["0", "100", "200", "300", "400"]
    assert [text for _, text in Scale(1, 3).ticks(6, whole=True)] == ["1", "2", "3"]
    assert [text for _, text in Scale(0.896, 1.004).ticks()] == ["0.90", "0.95", "1.00"]
    assert [text for _, text in Scale(7e-4, 4.0, True).ticks()] == ["0.001", "0.01", "0.1", "1"]
    assert Scale(1.0, 100.0, True).place(10.0) == 0.5
    assert scales.fit([2.0, 300.0], may_be_logarithmic=True) == scales.fit([300.0, 2.0], may_be_logarithmic=True)
    assert not fit([0.0, 1e9], may_be_logarithmic=True).logarithmic  # type: ignore[union-attr]


def test_only_whole_places_have_whole_ticks() -> None:
    shares, steps = (plots.curves("", [("", "", [(x, 1.0) for x in places])]) for places in ([0, 0.3, 1], [1, 2, 3]))
    assert shares is not None
    assert steps is not None
    assert [text for _, text in shares.x_ticks] == ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]
    assert [text for _, text in steps.x_ticks] == ["1", "2", "3"]


def test_a_curve_breaks_where_there_is_no_value() -> None:
    unit = Scale(0.0, 1.0)
    assert plots.path([(0, 0.0), (0.5, 1.0), (0.6, math.nan), (1, 0.5)], unit, unit) == "M0 1000L1000 0M2000 500"
