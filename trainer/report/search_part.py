"""What the page of a search shows beside its ranking: history, importance of the keys, and slices."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from trainer.compare import table
from trainer.compare.ranking import Ranking
from trainer.compare.rows import Row
from trainer.config.search_space import Axis
from trainer.disk.sweep_plan import Job, Plan
from trainer.report import plots
from trainer.report import trials as of_search
from trainer.report.key_importance import importance
from trainer.report.key_places import as_number, key_places
from trainer.report.plots import Plot, Tick, Trace
from trainer.report.scales import Points, Scale, fit
from trainer.report.trials import DONE, FAILED, PRUNED, Trial
from trainer.text import cut

MOST_SLICES = 12
MOST_TRIALS = 400  # in a picture, the newest ones
STYLES = {DONE: "cloud", PRUNED: "cloud pruned", FAILED: "cloud failed"}


def part(plan: Plan, jobs: Sequence[Job], results: Sequence[Row], ranked: Ranking) -> dict[str, Any] | None:
    """The values of the template; None for a grid, or before a trial has ended. jobs, results: of the page's rows."""
    found = of_search.trials(jobs, results, ranked.metric)
    if not found:
        return None
    axes, names = of_search.axes(plan), table.short_names(list(found[0].params))
    shares, note = importance(found, axes, ranked.mode)
    drawn = found[-MOST_TRIALS:]
    y = fit((trial.value for trial in drawn), may_be_logarithmic=True)
    slices = [sliced(key, name, axes.get(key), drawn, ranked.metric, y) for key, name in names.items()] if y else []
    return {
        "counts": ", ".join(f"{count:,} {kind}" for kind, count in Counter(trial.kind for trial in found).items()),
        "history": history(drawn, ranked, y, len(found)) if y else None,
        "slices": slices[:MOST_SLICES],
        "shares": [(cut(names.get(key, key), 40), percent) for key, percent in shares],
        "note": note,
    }


def history(trials: Sequence[Trial], ranked: Ranking, y: Scale, total: int) -> Plot | None:
    """The value of each trial in order, and the best so far. Failed ones lie on the axis. total: trials in all."""
    x = fit(trial.number for trial in trials)
    if x is None:
        return None
    places = [x.place(trial.number) for trial in trials]
    ticks = plots.percent(x.ticks(6, whole=True))
    best = list(best_so_far(trials, max if ranked.mode == "max" else min))
    guide = plots.path(best, x, y)
    caption = "The line is the best so far; a pruned trial stands where it stopped."
    if total > len(trials):
        caption = f"The newest {len(trials)} of {total:,} trials. {caption}"
    return cloud("History", trials, places, ticks, y, ("trial", ranked.metric), guide=guide, caption=caption)


def best_so_far(trials: Sequence[Trial], better: Any) -> Iterator[tuple[float, float]]:
    """The corners of the line through the best value of the finished trials so far. better: max or min."""
    best = None
    for trial in trials:
        if trial.kind == DONE and (best is None or better(best, trial.value) != best):
            yield from [(trial.number, best)] if best is not None else []
            best = trial.value
            yield trial.number, best
    yield from [(trials[-1].number, best)] if best is not None else []


def sliced(key: str, name: str, axis: Axis | None, trials: Sequence[Trial], metric: str, y: Scale) -> Plot:
    """The value of each trial against one key. The scale of an interval is the interval's, logarithmic where it is."""
    own = [trial for trial in trials if key in trial.params]
    places, ticks = key_places([trial.params[key] for trial in own])
    numbers = [number for trial in own if (number := as_number(trial.params[key])) is not None]
    if axis is not None and not axis.choices and len(numbers) == len(own):
        scale = Scale(axis.low, axis.high, axis.log and axis.low > 0)
        places, ticks = list(map(scale.place, numbers)), scale.ticks(4)
        name = with_scale(name, scale)
    return cloud(cut(name, 40), own, places, plots.percent(ticks), y, (cut(name, 40), metric))


def cloud(
    title: str,
    trials: Sequence[Trial],
    places: Sequence[float],
    x_ticks: list[Tick],
    y: Scale,
    names: tuple[str, str],
    **more: Any,
) -> Plot:
    """Trials as dots, in a colour for each kind. places: from 0 to 1; names: of x and y; more: fields of the Plot."""
    traces, unit = [], Scale(0.0, 1.0)
    for kind, style in STYLES.items():
        own = [(trial, place) for trial, place in zip(trials, places, strict=True) if trial.kind == kind]
        points: Points = [(place, trial.value if math.isfinite(trial.value) else y.low) for trial, place in own]
        values = [plots.rounded(trial.value) for trial, _ in own if math.isfinite(trial.value)]
        labels = [cut(f"trial {trial.number}: {table.settings_text(trial.params, ', ')}", 200) for trial, _ in own]
        if own:
            traces.append(Trace(kind, plots.cloud_path(points, unit, y), style, [], values, labels=labels))
    ticks = x_ticks, plots.percent(y.ticks(4), flipped=True)
    return Plot(title, traces, *ticks, kind="point", x_name=names[0], y_name=with_scale(cut(names[1], 40), y), **more)


def with_scale(name: str, scale: Scale) -> str:
    """The name of an axis, and whether its scale is logarithmic."""
    return f"{name} (log scale)" if scale.logarithmic else name
