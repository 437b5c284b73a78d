"""results.png: the curves on the left, then the confusion matrix or the parity plot, and the first of a task's own
figures."""

import io
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trainer.disk.figures import Curves, Pictures, Series
from trainer.disk.outcome import Predictions
from trainer.report.scales import Points, thinned
from trainer.text import cut

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"  # from Okabe and Ito's palette for colour-blind readers
COLUMNS = 1000  # pixels of a curve's width; a curve of more points is thinned
# Matplotlib's own defaults: it reads a matplotlibrc in the current folder, which may be a stranger's and call LaTeX.
SETTINGS = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
SETTINGS["text.parse_math"] = False
MOST_NAMED = 25  # classes whose names and counts are written into the matrix
MOST_PANELS = 3  # beside the losses
MOST_SHOWN = 8  # rows of pictures
MOST_DRAWN = 500  # classes above which there is no matrix, since its cells would be too small to see


def draw(
    title: str, curves: Mapping[str, Points], predictions: Predictions | None, terms: Sequence[Series] = ()
) -> bytes:
    """A PNG, 500 pixels high, with 600 pixels for each panel. curves: train and val losses as (step, value). terms: the
    same of a loss's terms by name."""
    huge = np.errstate(over="ignore", invalid="ignore")  # axes of up to 1e300
    with warnings.catch_warnings(), matplotlib.rc_context(SETTINGS), huge:
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script without a font here
        panels = list(_panels(predictions, terms))[:MOST_PANELS]
        figure = Figure(figsize=(6 * max(2, 1 + len(panels)), 5), dpi=100, layout="constrained")
        figure.suptitle(title, fontsize=11)
        axes = figure.subplots(1, 1 + len(panels), squeeze=False)[0]
        _losses(axes[0], curves)
        for ax, (name, panel) in zip(axes[1:], panels, strict=True):
            panel(ax)
            ax.set_title(name, fontsize=10)
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _panels(predictions: Predictions | None, terms: Sequence[Series]) -> Iterator[tuple[str, Callable[[Axes], None]]]:
    """Yield (title, what draws it) of each panel beside the losses."""
    if terms:
        yield "terms of the loss", partial(_curves, Curves("", "", "step", "", terms))
    if predictions is None:
        return
    where = f"{predictions.split} split, best weights"
    if predictions.classes is None and predictions.pairs:
        yield where, partial(_parity, predictions)
    elif predictions.confusions and len(predictions.classes or []) <= MOST_DRAWN:
        yield where, partial(_matrix, predictions)
    for shown in predictions.figures:
        if isinstance(shown, (Curves, Pictures)):
            draw: Any = _curves if isinstance(shown, Curves) else _pictures
            yield cut(f"{shown.title}, {where}", 70), partial(draw, shown)


def _curves(shown: Curves, ax: Axes) -> None:
    for name, points in shown.series:
        kept = thinned(points, COLUMNS)
        if kept:
            ax.plot(*zip(*kept, strict=True), linewidth=1.2, label=cut(name, 24))
    if shown.diagonal:
        points = [point for _, points in shown.series for point in points]
        ax.plot(*zip(min(points), max(points), strict=True), color=GREY, linewidth=1, linestyle=":")
    ax.set(xlabel=shown.x_name, ylabel=shown.y_name)
    ax.grid(alpha=0.25)
    if len(shown.series) > 1:
        ax.legend(frameon=False, fontsize=8)
    ax.spines[["top", "right"]].set_visible(False)


def _pictures(shown: Pictures, ax: Axes) -> None:
    """All rows in one image, those with several pictures a row side by side; pictures of the largest size and none
    larger."""
    rows = shown.rows[:MOST_SHOWN]
    height = max(picture.height for _, beside in rows for picture in beside) + 2
    width = max(picture.width for _, beside in rows for picture in beside) + 1
    columns = 2 if len(rows) > 4 else 1
    step = width * len(shown.names) + 3
    image = np.full((height * -(-len(rows) // columns), step * columns, 3), 255, np.uint8)
    for number, (_, beside) in enumerate(rows):
        top, left = height * (number // columns), step * (number % columns)
        for place, picture in enumerate(beside):
            pixels = np.frombuffer(picture.pixels, np.uint8).reshape(picture.height, picture.width, picture.channels)
            start = left + width * place
            image[top : top + picture.height, start : start + picture.width] = pixels
    ax.imshow(image, interpolation="nearest")
    ax.set(xlabel=" | ".join(cut(name, 24) for name in shown.names), xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def _losses(ax: Axes, curves: Mapping[str, Points]) -> None:
    for name, colour, marker in (("train", BLUE, ""), ("val", ORANGE, "o")):
        points = thinned(curves.get(name, []), COLUMNS)
        if points:
            steps, values = zip(*points, strict=True)
            ax.plot(steps, values, color=colour, marker=marker, markersize=3, linewidth=1.2, label=name)
    positive = [y for points in curves.values() for _, y in points if y > 0]
    if positive and max(positive) > 100 * min(positive):
        ax.set_yscale("log")
        ax.yaxis.set_major_formatter("{x:g}")  # matplotlib's own needs its math
        ax.yaxis.set_minor_formatter("")
    ax.set(xlabel="step", ylabel="loss")
    ax.grid(alpha=0.25)
    if positive:
        ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)


def _matrix(predictions: Predictions, ax: Axes) -> None:
    classes = predictions.classes or []
    counts = np.zeros((len(classes), len(classes)))
    for cell, count in predictions.confusions.items():
        counts[cell] = count
    ax.imshow(counts, cmap="Blues")
    ax.set(xlabel="prediction", ylabel="truth")
    if len(classes) <= MOST_NAMED:
        names = [cut(name, 16) for name in classes]
        ax.set_xticks(range(len(classes)), names, rotation=45 if max(map(len, names)) > 3 else 0)
        ax.set_yticks(range(len(classes)), names)
        for (truth, guess), count in predictions.confusions.items():
            colour = "white" if count > counts.max() / 2 else "black"
            ax.text(guess, truth, str(count), ha="center", va="center", fontsize=8, color=colour)


def _parity(predictions: Predictions, ax: Axes) -> None:
    truths, guesses = zip(*predictions.pairs, strict=True)
    low, high = min(*truths, *guesses), max(*truths, *guesses)
    ax.plot([low, high], [low, high], color=GREY, linewidth=1)
    ax.scatter(truths, guesses, s=12, color=BLUE, alpha=0.6)
    ax.set(xlabel="truth", ylabel="prediction")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
