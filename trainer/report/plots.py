"""Plots for a page: SVG paths in a box of 2000 × 1000, which the page stretches, with ticks and the values of the
points. Labels are text of the page, so that they keep their size on a phone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer.report.scales import Points, Scale, fit, thinned

BOX_WIDTH, BOX_HEIGHT = 2000, 1000
COLUMNS = 200  # of a long curve; each keeps at most four points

Tick = tuple[float, str]  # place in percent, label


@dataclass(frozen=True)
class Trace:
    """A curve, or a cloud of points. at and values: x and y of each point of the path; text: shown for the whole trace;
    weight: 0 to 1, how much it stands out; spread: bars at its points, as a path;
    labels: of each point."""

    name: str
    path: str
    style: str = ""
    at: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    dots: str = ""
    text: str = ""
    run: int | None = None
    weight: float = 1.0
    spread: str = ""
    labels: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plot:
    """kind: what hovering shows: x (all traces at one x), line (the nearest trace) or point (the nearest point). fixed:
    whether the page has no tools to smooth the curves or change their scale."""

    title: str
    traces: list[Trace]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    kind: str = "x"
    x_name: str = "step"
    y_name: str = ""
    note: str = ""
    marks: list[Tick] = field(default_factory=list)
    guide: str = ""
    caption: str = ""
    fixed: bool = False

    @property
    def data(self) -> list[dict[str, Any]]:
        """The values for the page's script."""
        kept = ("name", "at", "values", "text", "labels")
        return [{name: getattr(trace, name) for name in kept} for trace in self.traces]


def curves(
    title: str,
    series: Sequence[tuple[str, str, Points]],
    *,
    marks: Sequence[tuple[float, str]] = (),
    may_be_logarithmic: bool = False,
    labels: Sequence[Mapping[str, Any]] = (),
    columns: int = COLUMNS,
    **more: Any,
) -> Plot | None:
    """Curves over steps, or other numbers. series: (name, style, points). marks: (step, label). labels: more fields of
    each Trace; columns: of each curve; more: fields of the Plot. None where there is nothing to draw."""
    x = fit((step for _, _, points in series for step, _ in points), margin=0.0)
    y = fit((value for _, _, points in series for _, value in points), may_be_logarithmic=may_be_logarithmic)
    if x is None or y is None:
        return None
    whole = all(float(step).is_integer() for _, _, points in series for step, _ in points)
    drawn = [part for part in zip(series, labels or [{}] * len(series), strict=True) if part[0][2]]
    traces = [curve(*one, x, y, columns, **label) for one, label in drawn]
    note, places = "log scale" if y.logarithmic else "", [(100 * x.place(step), text) for step, text in marks]
    return Plot(
        title,
        traces,
        percent(x.ticks(6, whole=whole)),
        percent(y.ticks(4), flipped=True),
        note=note,
        marks=places,
        **more,
    )


def curve(name: str, style: str, points: Points, x: Scale, y: Scale, columns: int, **more: Any) -> Trace:
    """One curve, thinned; each of few points gets a dot, unless the curve is that of a sweep's job."""
    kept = thinned(points, columns)
    finite = [point for point in kept if math.isfinite(point[1])]
    steps, values = [step for step, _ in finite], [rounded(value) for _, value in finite]
    dots = cloud_path(finite, x, y) if len(finite) <= 60 and "run" not in more else ""
    return Trace(name, path(kept, x, y), style, steps, values, dots, **more)


def cloud(title: str, points: Points, x: Scale, y: Scale, names: tuple[str, str], guide: Points) -> Plot:
    """A scatter plot. guide: a line for comparison."""
    a, b = ([rounded(point[axis]) for point in points] for axis in (0, 1))
    trace = Trace("", cloud_path(points, x, y), "cloud", a, b)
    ticks = percent(x.ticks(4)), percent(y.ticks(4), flipped=True)
    return Plot(title, [trace], *ticks, kind="point", x_name=names[0], y_name=names[1], guide=path(guide, x, y))


def path(points: Points, x: Scale, y: Scale) -> str:
    """An SVG path through points; it breaks where a value is not finite."""
    path, pen = "", "M"
    for step, value in points:
        finite = math.isfinite(value)
        path += f"{pen}{_at(step, value, x, y)}" if finite else ""
        pen = "L" if finite else "M"
    return path


def cloud_path(points: Points, x: Scale, y: Scale) -> str:
    """An SVG path with a dot for each point: lines of length zero, which round caps make visible."""
    return "".join(f"M{_at(a, b, x, y)}h0" for a, b in points)


def percent(ticks: Sequence[Tick], *, flipped: bool = False) -> list[Tick]:
    """Ticks in percent from the left, or, if flipped, from the top."""
    return [(round(100 * (1 - place if flipped else place), 2), label) for place, label in ticks]


def spark(values: Sequence[float]) -> str:
    """A small curve without scales, as a path; '' for fewer than two points."""
    points = thinned([(float(index), value) for index, value in enumerate(values)], 12)
    y = fit(value for _, value in points)
    x = fit((index for index, _ in points), margin=0.0)
    return path(points, x, y) if x is not None and y is not None and len(points) > 1 else ""


def rounded(value: float) -> float:
    """The value to five digits, as the page shows it."""
    number = float(f"{value:.5g}")
    return int(number) if number.is_integer() and abs(number) < 1e9 else number


def _at(a: float, b: float, x: Scale, y: Scale) -> str:
    return f"{round(x.place(a) * BOX_WIDTH)} {round((1 - y.place(b)) * BOX_HEIGHT)}"
