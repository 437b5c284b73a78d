"""Curves in a terminal: train as a line of braille dots, val as letters on it, so they differ without colour."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from plotille import Canvas

Points = Sequence[tuple[float, float]]

MARKS = {"val": "o"}  # a curve with a letter is drawn as points, all others as a line
BLANK = (" ", "⠀")
TO_ASCII = str.maketrans({chr(0x2800 + bits): "*" if bits else " " for bits in range(256)})


def chart(
    series: Mapping[str, Points],
    *,
    title: str,
    width: int = 78,
    height: int = 8,
    ascii_only: bool = False,
    ends: tuple[str, str] | None = None,
    may_be_log: bool = True,
) -> list[str]:
    """Draw curves in at most `width` columns: a legend, `height` rows of curves, an axis with the first and last step.

    Args:
        series: for each name, its (step, value) points in order. Values that are not finite are left out.
        ends: two texts below the axis, instead of the first and last step.
        may_be_log: make the y axis logarithmic if the values span more than a factor of 100.

    Returns the lines; [] if no curve has two finite points.
    """
    kept = ((name, [(x, y) for x, y in points if math.isfinite(y)]) for name, points in series.items())
    finite = {name: points for name, points in kept if points}
    if max(map(len, finite.values()), default=0) < 2:
        return []
    values = [y for points in finite.values() for _, y in points]
    low, high = min(values), max(values)
    logarithmic = may_be_log and low > 0 and high / low > 100
    to_axis = math.log10 if logarithmic else float
    bottom, top = to_axis(low), to_axis(high)
    if top - bottom <= 1e-12 * abs(top):  # a flat line goes through the middle
        margin = abs(top) / 2 or 0.5
        bottom, top = bottom - margin, top + margin
    first = min(points[0][0] for points in finite.values())
    last = max(points[-1][0] for points in finite.values())
    indent = 9
    columns = width - indent - 2
    dots_x, dots_y = 2 * columns, 4 * height  # a braille cell is two dots wide and four high

    rows = [[" "] * columns for _ in range(height)]
    for name, points in finite.items():
        shown = thinned(points, first, last, columns // 3 if name in MARKS else dots_x)
        xs = [(x - first) / (last - first or 1) * (dots_x - 1) for x, _ in shown]
        ys = [(to_axis(y) - bottom) / (top - bottom) * (dots_y - 1) for _, y in shown]
        curve = list(zip(xs, ys, strict=True))
        for row, line in enumerate(_draw(curve, columns, height, joined=name not in MARKS)):
            for column, cell in enumerate(line):
                if cell not in BLANK:
                    rows[row][column] = MARKS.get(name) or cell

    labels = {0: top, height // 2: top - (top - bottom) * (height // 2) / (height - 1), height - 1: bottom}
    legend = "  ".join(f"{MARKS.get(name) or '⠒'} {name}" for name in finite)
    lines = [f"{title}  {legend}" + "  (log scale)" * logarithmic]
    for row, cells in enumerate(rows):
        label = number(10 ** labels[row] if logarithmic else labels[row]) if row in labels else ""
        lines.append(f"{label:>{indent - 1}} ┤" + "".join(cells).replace("⠀", " ").rstrip())
    left, right = ends or (f"{first:,.0f}", f"step {last:,.0f}")
    lines.append(" " * indent + "└" + "─" * columns)
    lines.append(" " * (indent + 1) + left + right.rjust(columns - len(left)))
    if ascii_only:
        frame = str.maketrans({"┤": "|", "└": "+", "─": "-"})
        lines = [line.translate(TO_ASCII).translate(frame) for line in lines]
    return lines


def thinned(points: Points, first: float, last: float, bins: int) -> list[tuple[float, float]]:
    """At most `bins` points, in order of x: the mean of all points that fall into the same bin."""
    if len(points) <= bins:
        return list(points)
    groups: dict[int, list[tuple[float, float]]] = {}
    for x, y in points:
        groups.setdefault(min(bins - 1, int((x - first) / (last - first or 1) * bins)), []).append((x, y))
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups.values()]


def _draw(curve: Points, columns: int, height: int, *, joined: bool) -> list[str]:
    """Rows of braille for a curve in dots, counted from the lower left: its points, or lines between them."""
    canvas = Canvas(columns, height, xmin=0, ymin=0, xmax=2 * columns, ymax=4 * height)
    for x, y in curve:
        canvas.point(x, y)
    for (x0, y0), (x1, y1) in pairwise(curve if joined else []):
        canvas.line(x0, y0, x1, y1)
    return str(canvas.plot(linesep="\n")).split("\n")


def number(value: float) -> str:
    """The value with three significant digits, in at most eight columns."""
    text = f"{value:.3g}"
    return text if len(text) <= 8 else f"{value:.1e}"
