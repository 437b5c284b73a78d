"""results.png: the curves on the left, the confusion matrix or the parity plot on the right."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from trainer.report.outcome import Outcome

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#777777"  # Okabe and Ito's colours, told apart by everybody
Points = Sequence[tuple[float, float]]


def draw(title: str, curves: Mapping[str, Points], outcome: Outcome | None) -> bytes:
    """A PNG of 1200 × 500. curves: train and val losses as (step, value)."""
    figure = Figure(figsize=(12, 5), dpi=100, layout="constrained")
    axes = figure.subplots(1, 2 if outcome is not None else 1, squeeze=False)[0]
    figure.suptitle(title, fontsize=11)
    _losses(axes[0], curves)
    if outcome is not None:
        (_matrix if outcome.classes is not None else _parity)(axes[1], outcome)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _losses(ax: Axes, curves: Mapping[str, Points]) -> None:
    for name, colour, marker in (("train", BLUE, ""), ("val", ORANGE, "o")):
        points = curves.get(name, [])
        if points:
            steps, values = zip(*points, strict=True)
            ax.plot(steps, values, color=colour, marker=marker, markersize=3, linewidth=1.2, label=name)
    positive = [y for points in curves.values() for _, y in points if y > 0]
    if positive and max(positive) > 100 * min(positive):
        ax.set_yscale("log")
    ax.set(xlabel="step", ylabel="loss")
    ax.grid(alpha=0.25)
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)


def _matrix(ax: Axes, outcome: Outcome) -> None:
    classes = outcome.classes or []
    ax.imshow(outcome.matrix, cmap="Blues")
    ax.set(xlabel="prediction", ylabel="truth", title=f"{outcome.split} split, best weights")
    ax.title.set_fontsize(10)
    if len(classes) <= 20:
        ax.set_xticks(range(len(classes)), classes, rotation=45 if max(map(len, classes)) > 3 else 0)
        ax.set_yticks(range(len(classes)), classes)
        half = max(map(max, outcome.matrix)) / 2
        for truth, row in enumerate(outcome.matrix):
            for guess, count in enumerate(row):
                if count:
                    colour = "white" if count > half else "black"
                    ax.text(guess, truth, str(count), ha="center", va="center", fontsize=8, color=colour)


def _parity(ax: Axes, outcome: Outcome) -> None:
    truths, guesses = zip(*outcome.pairs, strict=True)
    low, high = min(*truths, *guesses), max(*truths, *guesses)
    ax.plot([low, high], [low, high], color=GREY, linewidth=1)
    ax.scatter(truths, guesses, s=12, color=BLUE, alpha=0.6)
    ax.set(xlabel="truth", ylabel="prediction", title=f"{outcome.split} split, best weights")
    ax.title.set_fontsize(10)
    ax.grid(alpha=0.25)
    ax.spines[["top", "right"]].set_visible(False)
