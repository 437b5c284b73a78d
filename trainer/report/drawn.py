"""The figures of a task, ready for a page's template."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from trainer.disk.figures import NAMES, Curves, Figure, Matrices
from trainer.disk.history import Curve, History
from trainer.report import plots
from trainer.report.plots import Plot
from trainer.report.scales import fit

MOST_TERMS = 4


@dataclass(frozen=True)
class Drawn:
    """kind: see disk/figures.KINDS. plot: of curves. shares: of matrices, each count's percent of its row."""

    kind: str
    figure: Figure
    plot: Plot | None = None
    shares: Sequence[Sequence[Sequence[int]]] = ()


def drawn(figures: Sequence[Figure]) -> list[Drawn]:
    """Figures with what the template needs; without curves that cannot be drawn."""
    found = []
    for figure in figures:
        kind = NAMES[type(figure)]
        if isinstance(figure, Curves):
            if (plot := of_curves(figure)) is not None:
                found.append(Drawn(kind, figure, plot))
        elif isinstance(figure, Matrices):
            shares = [list(map(percents, counts)) for _, counts in figure.parts]
            found.append(Drawn(kind, figure, shares=shares))
        else:
            found.append(Drawn(kind, figure))
    return found


def percents(row: Sequence[int]) -> list[int]:
    """Each count as a percent of its row."""
    return [round(100 * count / (sum(row) or 1)) for count in row]


def of_curves(figure: Curves) -> Plot | None:
    """Curves as a plot, whose scales stay as they are."""
    series = [(name, f"series{number}", points) for number, (name, points) in enumerate(figure.series)]
    points = [point for _, points in figure.series for point in points]
    x, y = fit((x for x, _ in points), margin=0.0), fit(value for _, value in points)
    guide = ""
    if figure.diagonal and x is not None and y is not None:
        low, high = max(x.low, y.low), min(x.high, y.high)
        guide = plots.path([(low, low), (high, high)], x, y)
    names: dict[str, Any] = {"x_name": figure.x_name, "y_name": figure.y_name}
    return plots.curves(figure.title, series, caption=figure.caption, fixed=True, guide=guide, **names)


def metric_curves(past: History) -> dict[str, list[tuple[str, str, Curve]]]:
    """(split, style, points) of each metric and term of the loss, by name; the loss itself is left out."""
    found: dict[str, dict[str, Curve]] = {}
    for row in past.evaluations:
        for key, value in row.items():
            split, _, name = key.partition("/")
            if split in ("train", "val") and name not in ("", "loss"):
                found.setdefault(name, {}).setdefault(split, []).append((row["step"], value))
    for name, points in past.terms.items():
        if len(points) > len(found.get(name, {}).get("train", ())):
            found.setdefault(name, {})["train"] = points
    return {name: [(split, split, curves[split]) for split in sorted(curves)] for name, curves in found.items()}


def terms(past: History) -> list[tuple[str, Curve]]:
    """The curves of a loss's terms, as 'train/NAME' and 'val/NAME'."""
    found = metric_curves(past)
    named = [(f"{split}/{name}", points) for name in found if name in past.terms for split, _, points in found[name]]
    return named[: 2 * MOST_TERMS]
