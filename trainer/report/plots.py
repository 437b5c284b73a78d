"""Drawings for a page: SVG paths in a box of 2000 × 1000, which the page stretches, with ticks and the values behind
them. Labels are the page's text, so that they keep their size on a phone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from trainer.report.scales import Points, Scale, fit, thinned

BOX_WIDTH, BOX_HEIGHT = 2000, 1000
COLUMNS = 200  # of a long curve; each keeps four points at most

Tick = tuple[float, str]  # place in percent, label


@dataclass(frozen=True)
class Line:
    """A curve, or a cloud of points. at and values: what is behind each point of the path, in order; text: what is said
    of the whole line; weight: 0 to 1, how much it stands out among others."""

    name: str
    path: str
    style: str = ""
    at: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    dots: str = ""
    text: str = ""
    run: int | None = None
    weight: float = 1.0


@dataclass(frozen=True)
class Plot:
    """kind: how hovering works: x (all lines at one x), line (the nearest line) or point (the nearest point)."""

    title: str
    lines: list[Line]
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    kind: str = "x"
    x_name: str = "step"
    y_name: str = ""
    note: str = ""
    marks: list[Tick] = field(default_factory=list)
    guide: str = ""

    @property
    def data(self) -> list[dict[str, Any]]:
        """For the page's script."""
        return [{"name": line.name, "at": line.at, "values": line.values, "text": line.text} for line in self.lines]


def curves(
    title: str,
    series: Sequence[tuple[str, str, Points]],
    *,
    marks: Sequence[tuple[float, str]] = (),
    may_be_logarithmic: bool = False,
) -> Plot | None:
    """Curves over steps. series: (name, style, points). marks: steps at which something happened. None where there is
    nothing to draw."""
    x = fit((step for _, _, points in series for step, _ in points), margin=0.0)
    y = fit((value for _, _, points in series for _, value in points), may_be_logarithmic=may_be_logarithmic)
    if x is None or y is None:
        return None
    lines = [line(name, style, points, x, y) for name, style, points in series if points]
    return Plot(
        title,
        lines,
        percent(x.ticks(6)),
        percent(y.ticks(4), flipped=True),
        note="log scale" if y.logarithmic else "",
        marks=[(100 * x.place(step), text) for step, text in marks],
    )


def line(name: str, style: str, points: Points, x: Scale, y: Scale, columns: int = COLUMNS, **more: Any) -> Line:
    """One curve, thinned; few points get a dot each, unless it is one job's among many."""
    kept = thinned(points, columns)
    shown = [point for point in kept if math.isfinite(point[1])]
    few = 0 < len(shown) <= 60 and "run" not in more
    return Line(
        name,
        path(kept, x, y),
        style,
        [step for step, _ in shown],
        [rounded(value) for _, value in shown],
        dots=cloud_path(shown, x, y) if few else "",
        **more,
    )


def cloud(title: str, points: Points, x: Scale, y: Scale, names: tuple[str, str], guide: Points) -> Plot:
    """A scatter plot. guide: a line to compare with."""
    found = Line(
        "", cloud_path(points, x, y), "cloud", [rounded(a) for a, _ in points], [rounded(b) for _, b in points]
    )
    ticks = percent(x.ticks(4)), percent(y.ticks(4), flipped=True)
    return Plot(title, [found], *ticks, kind="point", x_name=names[0], y_name=names[1], guide=path(guide, x, y))


def path(points: Points, x: Scale, y: Scale) -> str:
    """An SVG path through points; it breaks where a value is not finite."""
    parts, pen = [], "M"
    for step, value in points:
        if math.isfinite(value):
            parts.append(f"{pen}{_at(step, value, x, y)}")
            pen = "L"
        else:
            pen = "M"
    return "".join(parts)


def cloud_path(points: Points, x: Scale, y: Scale) -> str:
    """An SVG path of a dot for each point: lines without length, which round caps make visible."""
    return "".join(f"M{_at(a, b, x, y)}h0" for a, b in points)


def percent(ticks: Sequence[Tick], *, flipped: bool = False) -> list[Tick]:
    """Ticks in percent from the left, or flipped from the top."""
    return [(round(100 * (1 - place if flipped else place), 2), label) for place, label in ticks]


def spark(values: Sequence[float]) -> str:
    """A small curve without scales, as a path; '' for fewer than two points."""
    points = thinned([(float(index), value) for index, value in enumerate(values)], 12)
    y = fit(value for _, value in points)
    x = fit((index for index, _ in points), margin=0.0)
    return path(points, x, y) if x is not None and y is not None and len(points) > 1 else ""


def rounded(value: float) -> float:
    """To five digits, as the page shows them."""
    number = float(f"{value:.5g}")
    return int(number) if number.is_integer() and abs(number) < 1e9 else number


def _at(a: float, b: float, x: Scale, y: Scale) -> str:
    return f"{round(x.place(a) * BOX_WIDTH)} {round((1 - y.place(b)) * BOX_HEIGHT)}"
