"""The picture of learning curves: the metric of each configuration over the number of its training rows."""

import math
from typing import Any

from trainer.compare.ranking import Ranking
from trainer.compare.table import settings_text
from trainer.report import plots
from trainer.report.plots import Plot
from trainer.report.scales import Scale, fit
from trainer.text import cut

MOST = 8  # curves, as many as there are colours


def plot(ranking: Ranking) -> Plot | None:
    """A line for each configuration, best first, with ± one standard deviation at its points. The number of rows is on
    a log scale. None without two numbers of rows, or without a value."""
    series = []
    for curve in ranking.curves[:MOST]:
        known = [(group.num_train, group.mean, group.std) for group in curve.groups if group.num_train and group.values]
        series.append((cut(settings_text(curve.settings), 40) or ranking.metric, known))
    counts = [count for _, known in series for count, _, _ in known]
    ends = [end for _, known in series for _, mean, std in known for end in around(mean, std)]
    y = fit(ends)
    if y is None or min(counts) == max(counts):
        return None
    x = Scale(min(counts), max(counts), logarithmic=True)
    traces = [
        plots.curve(
            name, f"series{number}", [(count, mean) for count, mean, _ in known], x, y, plots.COLUMNS,
            spread="".join(plots.path([(count, end) for end in around(mean, std)], x, y) for count, mean, std in known),
        )
        for number, (name, known) in enumerate(series)
    ]  # fmt: skip
    caption = "± one standard deviation over seeds and folds"
    if len(ranking.curves) > MOST:
        caption += f"; the first {MOST} of {len(ranking.curves)} configurations"
    ticks = plots.percent(x.ticks(6)), plots.percent(y.ticks(4), flipped=True)
    names: dict[str, Any] = {"x_name": "training rows (log scale)", "y_name": ranking.metric, "caption": caption}
    return Plot(f"{ranking.metric} over the training rows", traces, *ticks, fixed=True, **names)


def around(mean: float, std: float) -> tuple[float, float]:
    """The ends of a bar of one standard deviation; both the mean where there is none."""
    reach = std if math.isfinite(std) else 0.0
    return mean - reach, mean + reach
