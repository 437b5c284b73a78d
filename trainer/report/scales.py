"""Scales, linear or logarithmic, with round ticks; and curves thinned to the points that can be seen."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

Points = Sequence[tuple[float, float]]

FACTOR = 100  # ratio of largest to smallest value above which a scale is logarithmic


@dataclass(frozen=True)
class Scale:
    """low and high: the values at places 0 and 1."""

    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """The place of a value: 0 at low, 1 at high. On a logarithmic scale, 0 for values that have no logarithm."""
        if not self.logarithmic:
            return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)  # halved, so that it cannot overflow
        if value <= 0:
            return 0.0
        return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))

    def ticks(self, most: int = 5, *, whole: bool = False) -> list[tuple[float, str]]:
        """(place, label) of at most `most` + 1 round values on the scale, lowest first. whole: only whole numbers."""
        values = list(self._decades(most) if self.logarithmic else self._steps(most, 1.0 if whole else 0.0))
        step = values[1] - values[0] if len(values) > 1 and not self.logarithmic else 0.0
        return [(self.place(value), label(value, step)) for value in values]

    def _steps(self, most: int, least: float) -> Iterator[float]:
        width = (self.high / 2 - self.low / 2) * 2 / most
        if not math.isfinite(width) or width <= 0:
            return
        power = 10.0 ** math.floor(math.log10(width))
        step = max(least, next(power * factor for factor in (1, 2, 5, 10) if power * factor >= width * 0.999))
        multiples = (number * step for number in itertools.count(math.ceil(self.low / step - 1e-9)))
        yield from itertools.takewhile(lambda value: value <= self.high + step * 1e-9, multiples)

    def _decades(self, most: int) -> Iterator[float]:
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        every = max(1, math.ceil((last - first + 1) / most))
        factors = (1, 2, 5) if last - first < 2 else (1,)
        for exponent, factor in itertools.product(range(first - 1, last + 1), factors):
            value = factor * 10.0**exponent
            if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9) and (exponent - first) % every == 0:
                yield value


def fit(values: Iterable[float], *, margin: float = 0.04, may_be_logarithmic: bool = False) -> Scale | None:
    """A scale over values, with a margin at both ends; a flat line is in the middle. None without a finite value.
    may_be_logarithmic: it is if all values are above 0 and span more than FACTOR."""
    finite = list(filter(math.isfinite, values))
    if not finite:
        return None
    low, high = min(finite), max(finite)
    if may_be_logarithmic and low > 0 and (decades := math.log10(high) - math.log10(low)) > math.log10(FACTOR):
        room = 10 ** (decades * margin)
        return Scale(min(low, max(low / room, 1e-307)), max(high, min(high * room, 1e307)), True)
    room = (high / 2 - low / 2) * 2 * margin
    if high / 2 - low / 2 <= 1e-12 * max(abs(low), abs(high)):
        room = max(abs(low), abs(high)) / 2 or 0.5
    return Scale(low - room, high + room)


def label(value: float, step: float = 0.0) -> str:
    """The label of a tick, with the digits that `step`, the distance between ticks, needs; 1,000 has a comma, very
    large and small numbers have an exponent."""
    size = abs(value)
    if size < abs(step) * 1e-9 or size == 0:
        return "0"
    if size >= 1e6 or size < 1e-3:
        mantissa, _, exponent = f"{value:.2e}".partition("e")
        return f"{float(mantissa):g}e{int(exponent)}"
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 3
    text = f"{value:,.{min(decimals, 6)}f}"
    return text.rstrip("0").rstrip(".") if step <= 0 and "." in text else text


def thinned(points: Points, columns: int) -> list[tuple[float, float]]:
    """Points in order of x, thinned for a drawing `columns` wide: each column keeps its first, lowest, highest and last
    point. No peak is lost; a value that is not finite remains as a gap.

    As in M4 (Jugel and others, VLDB 2014), which draws the same pixels as all points would.
    """
    if len(points) <= 4 * columns:
        return list(points)
    first, last = points[0][0], points[-1][0]
    width = (last - first) / columns or 1.0
    kept: list[tuple[float, float]] = []
    for _, group in itertools.groupby(points, lambda point: min(columns - 1, int((point[0] - first) / width))):
        column = list(group)
        values = [value for _, value in column]
        finite = [index for index, value in enumerate(values) if math.isfinite(value)]
        gaps = [index for index, value in enumerate(values) if not math.isfinite(value)]
        extremes = [min(finite, key=values.__getitem__), max(finite, key=values.__getitem__)] if finite else []
        kept += [column[index] for index in sorted({0, len(column) - 1, *extremes, *gaps[-1:]})]
    return kept
