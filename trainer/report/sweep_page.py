"""The report.html of a sweep: its rankings, curves of the jobs, settings side by side, each key's share of variance."""

import math
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from trainer.compare import marks, ranking, rows, table
from trainer.compare.group import Group
from trainer.compare.protocol import FOLDED
from trainer.compare.ranking import Ranking
from trainer.compare.rows import Row
from trainer.disk import history, layout, sweep_plan
from trainer.disk.history import History
from trainer.disk.sweep_plan import Job
from trainer.errors import StorageError
from trainer.report import html, learning_curves, plots, search_part
from trainer.report.key_places import key_places
from trainer.report.plots import Plot, Tick, Trace
from trainer.report.scales import Points, Scale, fit
from trainer.text import clock, cut

MOST_ROWS = 150  # of the ranking
MOST_DRAWN = 200  # jobs in a plot, the best ones
MOST_KEYS = 10
MOST_LINKS = 12  # to the jobs of one row
MOST_RANKINGS = 12
MOST_POINTS = 4800  # of all curves together


@dataclass(frozen=True)
class Jobs:
    """The jobs of a sweep by number: their results, folders and loss curves."""

    rows: Sequence[Row]
    folders: Sequence[Path]
    losses: Sequence[Mapping[str, Points]]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each row by its name."""
        return {row.name: number for number, row in enumerate(self.rows)}


@dataclass(frozen=True)
class ParallelAxis:
    """One axis of the parallel coordinates. left: its place in percent."""

    name: str
    left: float
    ticks: list[Tick]


def page(sweep: Path) -> str:
    """The page as text."""
    stored = sweep_plan.read_plan(sweep)
    # A folder elsewhere is not one of its jobs.
    plan = [job for job in stored.jobs if not job.folder(sweep).is_symlink()]
    folders = [job.folder(sweep) for job in plan]
    pasts = [past_of(folder) for folder in folders]
    results = list(map(rows.read_row, folders, [job.data for job in plan], rows.settings(plan), pasts))
    jobs = Jobs(results, folders, [(past or History()).curves for past in pasts])
    rankings = ranking.rankings(results)
    return html.render(
        "sweep.html",
        name=sweep.name,
        tiles=tiles(results),
        num_jobs=len(results),
        num_rankings=len(rankings),
        search=search_part.part(stored, plan, results, rankings[0]) if rankings else None,
        sections=[section(ranked, jobs, plan, len(rankings)) for ranked in rankings[:MOST_RANKINGS]],
        failures=[(row, settings_text(row.settings)) for row in results if row.failed or row.unreadable][:40],
        settings_text=settings_text,
    )


def past_of(folder: Path) -> History | None:
    """The history of a job; None where it cannot be read, which its row says."""
    try:
        return history.read(folder)
    except StorageError:
        return None


def section(ranked: Ranking, jobs: Jobs, plan: Sequence[Job], num_rankings: int) -> dict[str, Any]:
    """One ranking with its plots."""
    names = table.short_names(table.setting_keys(ranked)[:MOST_KEYS])
    drawn = by_value(ranked)
    best = plan[jobs.numbers[ranked.best.name]] if ranked.best else None
    lines = [(group, ("", "")) for group in table.curve_groups(ranked)]
    lines = lines or [(group, ranked.place(index)) for index, group in enumerate(ranked.groups)]
    return {
        "data": cut(ranked.data, 200),
        "metric": ranked.metric,
        "better": "higher" if ranked.mode == "max" else "lower",
        "best": ranked.groups[0] if ranked.best else None,
        "command": cut(shlex.join(["trainer", "train", *best.overrides]), 4000) if best is not None else "",
        "columns": [(key, cut(name, 40)) for key, name in names.items()],
        "is_curve": bool(ranked.curves),
        "learning_curves": learning_curves.plot(ranked) if ranked.curves else None,
        "groups": [group_cells(group, place, ranked, jobs) for group, place in lines[:MOST_ROWS]],
        "tested": any(group.test is not None for group in ranked.groups),
        "num_groups": len(ranked.groups),
        "marks": marks.marks(ranked),
        "plot": curves(drawn, jobs, MOST_POINTS // min(num_rankings, MOST_RANKINGS)),
        "parallel": parallel(drawn, jobs, parallel_keys(ranked), ranked.metric),
        "num_jobs": ranked.num_runs,
        "num_drawn": len(drawn),
        "shares": shares(ranked),
    }


def parallel_keys(ranked: Ranking) -> list[str]:
    """The keys that varied; those over which the ranking averages are last."""
    settings = [row.settings for group in ranked.groups for row in group.rows]
    folded = dict.fromkeys(key for own in settings for key in own if key.lstrip("+") in FOLDED)
    return [*table.setting_keys(ranked)[:MOST_KEYS], *(key for key in folded if key not in ranked.groups[0].settings)]


def by_value(ranked: Ranking) -> list[Row]:
    """The jobs with a value, best first, at most MOST_DRAWN."""
    sign = -1.0 if ranked.mode == "max" else 1.0
    valued = [row for group in ranked.groups for row in group.rows if row.value(ranked.metric) is not None]
    return sorted(valued, key=lambda row: sign * row.metrics[ranked.metric])[:MOST_DRAWN]


def settings_text(settings: Mapping[str, str]) -> str:
    """Settings as 'lr=0.1, hidden=[64]'."""
    return cut(table.settings_text(settings, ", "), 160)


def tiles(results: Sequence[Row]) -> list[tuple[str, str]]:
    """(name, text): the number of jobs with each status, their steps and their time."""
    counts = Counter(row.status for row in results)
    return [
        ("jobs", f"{len(results):,}"),
        *((cut(status, 20) or "unknown", f"{count:,}") for status, count in counts.most_common(6)),
        ("steps in total", f"{sum(row.steps for row in results):,}"),
        ("time of all jobs", clock(sum(row.seconds for row in results))),
    ]


def group_cells(group: Group, place: tuple[str, str], ranked: Ranking, jobs: Jobs) -> dict[str, object]:
    """One row of the ranking, or of its learning curves. place: see Ranking.place."""
    numbers = [jobs.numbers[row.name] for row in group.rows]
    rank, gap = place
    return {
        "rank": rank,
        "settings": {key: cut(table.short_value(value), 60) for key, value in group.settings.items()},
        "rows": f"{group.num_train:,}" if group.num_train is not None else "",
        "value": table.spread_text(group) if ranked.curves else table.value_text(group),
        "test": f"{group.test:.4f}" if group.test is not None else "",
        "n": table.seeds_text(group),
        "gap": f"{gap} {ranked.mark(group)}".rstrip() if gap else "",
        "spark": plots.spark(group.curve),
        "time": group.time,
        "runs": " ".join(map(str, numbers)),
        "links": [(jobs.folders[n].name, (jobs.folders[n] / layout.REPORT).is_file()) for n in numbers[:MOST_LINKS]],
        "num_more": max(0, len(numbers) - MOST_LINKS),
    }


def curves(drawn: Sequence[Row], jobs: Jobs, most_points: int) -> Plot | None:
    """The validation losses of the jobs, or else their training losses; the best one is drawn last."""
    losses = [jobs.losses[jobs.numbers[row.name]] for row in drawn]
    name = "val" if any(curve["val"] for curve in losses) else "train"
    series = [("", "job", curve[name]) for curve in losses[::-1]]
    labels, columns = list(trace_labels(drawn, jobs))[::-1], max(2, most_points // max(1, len(series)) // 4)
    kind: dict[str, Any] = {"kind": "line", "y_name": f"{name}/loss", "may_be_logarithmic": True}
    return plots.curves(f"{name}/loss of each job", series, labels=labels, columns=columns, **kind)


def trace_labels(drawn: Sequence[Row], jobs: Jobs) -> Iterator[dict[str, Any]]:
    """For each job: the text that hovering shows, the job's number, and its weight from 1, the best, to 0, the last."""
    for place, row in enumerate(drawn):
        metric = f"{cut(row.monitor, 30)} {html.metric_text(row.metrics.get(row.monitor, math.nan))}"
        text = f"{Path(row.name).name}  {settings_text(row.settings)}  ·  {metric}"
        weight = round(1 - place / max(1, len(drawn) - 1), 3)
        yield {"text": text, "run": jobs.numbers[row.name], "weight": weight}


def parallel(
    valued: Sequence[Row], jobs: Jobs, keys: Sequence[str], metric: str
) -> tuple[list[ParallelAxis], list[Trace]] | None:
    """A line for each job through the values of its keys to its metric. None where nothing varied."""
    drawn = [row for row in valued if all(key in row.settings for key in keys)]
    scale = fit(row.metrics[metric] for row in drawn)
    if not keys or len(drawn) < 2 or scale is None:
        return None
    axes, columns = [], []
    for number, (key, name) in enumerate(table.short_names(list(keys)).items()):
        places, ticks = key_places([row.settings[key] for row in drawn])
        left = round(100 * number / len(keys), 2)
        axes.append(ParallelAxis(cut(name, 24), left, plots.percent(ticks, flipped=True)))
        columns.append(places)
    axes.append(ParallelAxis(cut(metric, 24), 100.0, plots.percent(scale.ticks(5), flipped=True)))
    columns.append([scale.place(row.metrics[metric]) for row in drawn])
    unit, lefts = Scale(0.0, 1.0), [axis.left / 100 for axis in axes]
    traces = [
        Trace("", plots.path(list(zip(lefts, places, strict=True)), unit, unit), "job", **labels)
        for places, labels in zip(zip(*columns, strict=True), trace_labels(drawn, jobs), strict=True)
    ]
    return axes, traces[::-1]


def shares(ranked: Ranking) -> list[tuple[str, float]]:
    """(key, percent of the variance), largest first; last, what the keys explain only jointly."""
    if not ranked.shares:
        return []
    names = table.short_names(list(ranked.shares))
    parts = sorted(((cut(names[key], 40), 100 * share) for key, share in ranked.shares.items()), key=lambda p: -p[1])
    return [*parts, ("together", max(0.0, 100 - sum(share for _, share in parts)))]
