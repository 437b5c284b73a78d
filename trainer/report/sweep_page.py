"""report.html of a sweep: the ranking, the curves of its jobs, their settings side by side, and what mattered."""

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trainer.compare import ranking, rows, table
from trainer.compare.ranking import Group, Ranking
from trainer.compare.rows import Row
from trainer.disk import history, layout, sweep_plan
from trainer.report import html, plots
from trainer.report.plots import Line, Plot, Tick
from trainer.report.scales import Points, Scale, fit
from trainer.text import clock, cut

MOST_ROWS = 150  # of the ranking
MOST_LINES = 200  # jobs in a drawing, the best ones
MOST_KEYS = 10
MOST_POINTS = 4800  # of all curves together
FEW = 8  # values of a key that stand side by side instead of on a scale


@dataclass(frozen=True)
class Jobs:
    """The jobs of a sweep by number: what became of each, and where."""

    rows: Sequence[Row]
    folders: Sequence[Path]
    losses: Sequence[Mapping[str, Points]]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Number of each row, by its name."""
        return {row.name: number for number, row in enumerate(self.rows)}

    def keys(self, ranked: Ranking) -> list[str]:
        """What varied; the seed, which the ranking folds, comes last."""
        seed = any(ranking.SEED in row.settings for row in self.rows)
        keys = [key for key in table.setting_keys(ranked) if key != ranking.SEED][:MOST_KEYS]
        return [*keys, ranking.SEED] if seed else keys


@dataclass(frozen=True)
class Axis:
    """One axis of the parallel coordinates. left: its place in percent."""

    name: str
    left: float
    ticks: list[Tick]


def page(sweep: Path) -> str:
    """The page as text."""
    _, planned = sweep_plan.read_plan(sweep)
    plan = [job for job in planned if not job.folder(sweep).is_symlink()]  # what lies elsewhere is none of its jobs
    folders = [job.folder(sweep) for job in plan]
    settings = rows.varied([job.overrides for job in plan])
    pasts = [history.read(folder) for folder in folders]
    found = [rows.read_row(*job) for job in zip(folders, settings, pasts, strict=True)]
    jobs = Jobs(found, folders, [past.curves for past in pasts])
    ranked = ranking.rank(found, rows.monitored(found))
    keys = table.setting_keys(ranked)[:MOST_KEYS]
    names = table.short_names(keys)
    shown = by_value(found, ranked)
    return html.render(
        "sweep.html",
        name=sweep.name,
        metric=ranked.metric,
        better="higher" if ranked.mode == "max" else "lower",
        best=ranked.groups[0] if ranked.best else None,
        command=command(plan[jobs.numbers[ranked.best.name]].overrides) if ranked.best else "",
        tiles=tiles(found),
        keys=[(key, cut(names[key], 40)) for key in keys],
        groups=[group_cells(group, index, ranked, jobs) for index, group in enumerate(ranked.groups[:MOST_ROWS])],
        num_groups=len(ranked.groups),
        seeds=any(len(group.rows) > 1 for group in ranked.groups),
        noise=any(ranked.within_noise(group) for group in ranked.groups[: ranked.num_ranked]),
        plot=curves(shown, jobs),
        parallel=parallel(shown, jobs, jobs.keys(ranked), ranked.metric),
        num_jobs=len(found),
        num_lines=len(shown),
        shares=shares(ranked),
        failures=[(row, settings_text(row.settings)) for row in found if row.status in ("failed", "diverged")][:40],
        settings_text=settings_text,
    )


def by_value(found: Sequence[Row], ranked: Ranking) -> list[Row]:
    """The jobs that have a value, best first, no more than can be drawn."""
    sign = -1.0 if ranked.mode == "max" else 1.0
    valued = [row for row in found if row.value(ranked.metric) is not None]
    return sorted(valued, key=lambda row: sign * row.metrics[ranked.metric])[:MOST_LINES]


def command(overrides: Sequence[str]) -> str:
    """What trains a job again, as one would type it."""
    return cut(shlex.join(["trainer", "train", *overrides]), 4000)


def settings_text(settings: Mapping[str, str]) -> str:
    """lr=0.1, hidden=[64]"""
    names = table.short_names(list(settings))
    return cut(", ".join(f"{names[key]}={table.short_value(value)}" for key, value in settings.items()), 160)


def tiles(found: Sequence[Row]) -> list[tuple[str, str]]:
    """Jobs by their status, and the time of all together."""
    counts = Counter(row.status for row in found)
    total = sum(row.seconds for row in found)
    return [
        ("jobs", f"{len(found):,}"),
        *((cut(status, 20) or "unknown", f"{count:,}") for status, count in counts.most_common(6)),
        ("steps in all", f"{sum(row.steps for row in found):,}"),
        ("time of all jobs", clock(total)),
    ]


def group_cells(group: Group, index: int, ranked: Ranking, jobs: Jobs) -> dict[str, object]:
    """One line of the ranking."""
    numbers = [jobs.numbers[row.name] for row in group.rows]
    times = [row.seconds for row in group.rows if row.ok]
    placed = index < ranked.num_ranked
    gap = "best" if index == 0 else f"{group.mean - ranked.groups[0].mean:+.4g}"
    return {
        "rank": index + 1 if placed else "-",
        "settings": {key: cut(table.short_value(value), 60) for key, value in group.settings.items()},
        "value": table.value_text(group),
        "n": f"{len(group.values)}/{len(group.rows)}",
        "gap": gap + (" ~" if ranked.within_noise(group) else "") if placed else "",
        "spark": plots.spark(next((row.curve for row in group.rows if row.ok), [])),
        "time": clock(sum(times) / len(times)) if times else "",
        "runs": " ".join(map(str, numbers)),
        "links": [
            (folder.name, (folder / layout.REPORT).is_file()) for folder in map(jobs.folders.__getitem__, numbers[:6])
        ],
    }


def curves(shown: Sequence[Row], jobs: Jobs) -> Plot | None:
    """The validation losses of the jobs, or else their training losses; the best one is drawn last."""
    losses = [jobs.losses[jobs.numbers[row.name]] for row in shown]
    name = "val" if any(curve["val"] for curve in losses) else "train"
    series = [(row, curve[name]) for row, curve in zip(shown, losses, strict=True)]
    x = fit((step for _, points in series for step, _ in points), margin=0.0)
    y = fit((value for _, points in series for _, value in points), may_be_logarithmic=True)
    if x is None or y is None:
        return None
    columns = max(2, MOST_POINTS // len(series) // 4)
    lines = [
        plots.line("", "job", points, x, y, columns, text=told(row), **who(row, place, shown, jobs))
        for place, (row, points) in enumerate(series)
        if points
    ]
    ticks = plots.percent(x.ticks(6)), plots.percent(y.ticks(4), flipped=True)
    note = "log scale" if y.logarithmic else ""
    return Plot(f"{name}/loss of each job", lines[::-1], *ticks, kind="line", y_name=f"{name}/loss", note=note)


def told(row: Row) -> str:
    """What is said of a job that is pointed at."""
    value = row.metrics.get(row.monitor, math.nan)
    metric = f"{cut(row.monitor, 30)} {html.metric_text(value)}"
    return f"{Path(row.name).name}  {settings_text(row.settings)}  ·  {metric}"


def who(row: Row, place: int, shown: Sequence[Row], jobs: Jobs) -> dict[str, Any]:
    """Of a line: which job it is, and its weight, 1 for the best and 0 for the last."""
    return {"run": jobs.numbers[row.name], "weight": round(1 - place / max(1, len(shown) - 1), 3)}


def parallel(
    shown: Sequence[Row], jobs: Jobs, keys: Sequence[str], metric: str
) -> tuple[list[Axis], list[Line]] | None:
    """A line for every job through the values of its keys to its metric. None where nothing varied."""
    drawn = [row for row in shown if all(key in row.settings for key in keys)]
    if not keys or len(drawn) < 2:
        return None
    names = table.short_names(list(keys))
    axes, columns = [], []
    for number, key in enumerate(keys):
        levels = list(dict.fromkeys(row.settings[key] for row in jobs.rows if key in row.settings))
        places, ticks = key_places([row.settings[key] for row in drawn], levels)
        axes.append(Axis(cut(names[key], 24), round(100 * number / len(keys), 2), plots.percent(ticks, flipped=True)))
        columns.append(places)
    scale = fit(row.metrics[metric] for row in drawn)
    if scale is None:
        return None
    axes.append(Axis(cut(metric, 24), 100.0, plots.percent(scale.ticks(5), flipped=True)))
    columns.append([scale.place(row.metrics[metric]) for row in drawn])
    unit = Scale(0.0, 1.0)
    lines = []
    for place, row in enumerate(drawn):
        points = [(axis.left / 100, column[place]) for axis, column in zip(axes, columns, strict=True)]
        path = plots.path(points, unit, unit)
        lines.append(Line("", path, "job", text=told(row), **who(row, place, drawn, jobs)))
    return axes, lines[::-1]


def key_places(values: Sequence[str], levels: list[str]) -> tuple[list[float], list[tuple[float, str]]]:
    """Where each value of a key lies from 0 to 1, and the ticks: few levels stand side by side, numbers in order; many
    numbers lie on a scale."""
    numbers = {value: number for value in levels if (number := as_number(value)) is not None}
    if len(numbers) == len(levels):
        if len(levels) > FEW and (scale := fit(numbers.values(), may_be_logarithmic=True)) is not None:
            return [scale.place(numbers[value]) for value in values], scale.ticks(5)
        levels = sorted(levels, key=lambda value: numbers[value])
    places = {value: (index + 0.5) / len(levels) for index, value in enumerate(levels)}
    every = max(1, math.ceil(len(levels) / 16))
    ticks = [(places[value], cut(table.short_value(value), 18)) for value in levels[::every]]
    return [places[value] for value in values], ticks


def as_number(text: str) -> float | None:
    """A finite number that a text spells."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < 1e300 else None


def shares(ranked: Ranking) -> list[tuple[str, float]]:
    """(key, percent of the variance), largest first, and what the keys explain only together."""
    if not ranked.shares:
        return []
    names = table.short_names(list(ranked.shares))
    parts = sorted(((cut(names[key], 40), 100 * share) for key, share in ranked.shares.items()), key=lambda p: -p[1])
    return [*parts, ("together", max(0.0, 100 - sum(share for _, share in parts)))]
