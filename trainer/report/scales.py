"""From values to places on a drawing: linear or logarithmic scales with round ticks, and curves with few points."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

Points = Sequence[tuple[float, float]]

FACTOR = 100  # largest value over smallest, from which on a scale is logarithmic


@dataclass(frozen=True)
class Scale:
    """low and high: the values at places 0 and 1."""

    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Where a value lies; outside 0 to 1 beyond low and high, at the lower end where a logarithm has no answer."""
        if not self.logarithmic:
            return (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)  # halved, so that it cannot overflow
        if value <= 0:
            return 0.0
        return (math.log(value) - math.log(self.low)) / (math.log(self.high) - math.log(self.low))

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """(place, label) of at most `most` + 1 round values within the scale, lowest first."""
        values = list(self._decades(most) if self.logarithmic else self._steps(most))
        step = values[1] - values[0] if len(values) > 1 and not self.logarithmic else 0.0
        return [(self.place(value), label(value, step)) for value in values]

    def _steps(self, most: int) -> Iterator[float]:
        width = (self.high / 2 - self.low / 2) * 2 / most
        if not math.isfinite(width) or width <= 0:
            return
        power = 10.0 ** math.floor(math.log10(width))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= width * 0.999)
        number = math.ceil(self.low / step - 1e-9)
        while number * step <= self.high + step * 1e-9:
            yield number * step
            number += 1

    def _decades(self, most: int) -> Iterator[float]:
        first, last = math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9)
        every = max(1, math.ceil((last - first + 1) / most))
        factors = (1, 2, 5) if last - first < 2 else (1,)
        for exponent in range(first - 1, last + 1):
            for factor in factors:
                value = factor * 10.0**exponent
                if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9) and (exponent - first) % every == 0:
                    yield value


def fit(values: Iterable[float], *, margin: float = 0.04, may_be_logarithmic: bool = False) -> Scale | None:
    """A scale over values with a margin at both ends; a flat line goes through the middle. None without a finite one.

    may_be_logarithmic: where all are above 0 and span more than FACTOR.
    """
    finite = [value for value in values if math.isfinite(value)]
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
    """A number for a tick: as many digits as its neighbours need, 1,000 with a comma, very large and small ones with an
    exponent."""
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
    """Points in order of x as a drawing `columns` wide shows them: of those that fall into one column, the first, the
    lowest, the highest and the last. No peak is lost; a value that is not finite stays as a gap.

    As in M4 (Jugel and others, VLDB 2014), which draws the same pixels as all points would.
    """
    if len(points) <= 4 * columns:
        return list(points)
    first, last = points[0][0], points[-1][0]
    width = (last - first) / columns or 1.0
    kept: list[tuple[float, float]] = []
    begin = 0
    while begin < len(points):
        column = min(columns - 1, int((points[begin][0] - first) / width))
        end = begin
        lowest = highest = gap = -1
        while end < len(points) and min(columns - 1, int((points[end][0] - first) / width)) == column:
            value = points[end][1]
            if value != value or abs(value) == math.inf:
                gap = end
            else:
                lowest = end if lowest < 0 or value < points[lowest][1] else lowest
                highest = end if highest < 0 or value > points[highest][1] else highest
            end += 1
        chosen = {begin, end - 1, lowest, highest, gap} - {-1}
        kept += [points[index] for index in sorted(chosen)]
        begin = end
    return kept
