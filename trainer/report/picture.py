"""results.png: the curves on the left, the confusion matrix or the parity plot on the right."""

import io
import warnings
from collections.abc import Callable, Mapping

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trainer.disk.outcome import Predictions
from trainer.report.scales import Points, thinned
from trainer.text import cut

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"  # from Okabe and Ito's palette for colour-blind readers
COLUMNS = 1000  # pixels of a curve's width; a curve of more points is thinned
# Matplotlib's own defaults: it reads a matplotlibrc in the current folder, which may be a stranger's and call LaTeX.
SETTINGS = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
SETTINGS["text.parse_math"] = False
MOST_NAMED = 25  # classes whose names and counts are written into the matrix
MOST_DRAWN = 500  # classes above which there is no matrix, since its cells would be too small to see


def draw(title: str, curves: Mapping[str, Points], predictions: Predictions | None) -> bytes:
    """A PNG of 1200 × 500 pixels. curves: train and val losses as (step, value)."""
    huge = np.errstate(over="ignore", invalid="ignore")  # axes of up to 1e300
    with warnings.catch_warnings(), matplotlib.rc_context(SETTINGS), huge:
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a name in a script without a font here
        figure = Figure(figsize=(12, 5), dpi=100, layout="constrained")
        figure.suptitle(title, fontsize=11)
        panel = None if predictions is None else _panel(predictions)
        axes = figure.subplots(1, 1 if panel is None else 2, squeeze=False)[0]
        _losses(axes[0], curves)
        if predictions is not None and panel is not None:
            panel(axes[1], predictions)
            axes[1].set_title(f"{predictions.split} split, best weights", fontsize=10)
        buffer = io.BytesIO()
        FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _panel(predictions: Predictions) -> Callable[[Axes, Predictions], None] | None:
    """The function that draws the predictions; None where there is nothing to draw."""
    if predictions.classes is None:
        return _parity if predictions.pairs else None
    return _matrix if predictions.confusions and len(predictions.classes) <= MOST_DRAWN else None


def _losses(ax: Axes, curves: Mapping[str, Points]) -> None:
    for name, colour, marker in (("train", BLUE, ""), ("val", ORANGE, "o")):
        points = thinned(curves.get(name, []), COLUMNS)
        if points:
            steps, values = zip(*points, strict=True)
            ax.plot(steps, values, color=colour, marker=marker, markersize=3, linewidth=1.2, label=name)
    positive = [y for points in curves.values() for _, y in points if y > 0]
    if positive and max(positive) > 100 * min(positive):
        ax.set_yscale("log")
    ax.set(xlabel="step", ylabel="loss")
    ax.grid(alpha=0.25)
    if positive:
        ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)


def _matrix(ax: Axes, predictions: Predictions) -> None:
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


def _parity(ax: Axes, predictions: Predictions) -> None:
    truths, guesses = zip(*predictions.pairs, strict=True)
    low, high = min(*truths, *guesses), max(*truths, *guesses)
    ax.plot([low, high], [low, high], color=GREY, linewidth=1)
    ax.scatter(truths, guesses, s=12, color=BLUE, alpha=0.6)
    ax.set(xlabel="truth", ylabel="prediction")
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
