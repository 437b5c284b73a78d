"""What a sweep prints about its jobs, and the ranking, at most 78 columns wide."""

import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trainer.compare import table
from trainer.compare.ranking import Ranking
from trainer.compare.rows import Row, all_keys, varied
from trainer.compare.table import short_names, short_value
from trainer.disk import layout
from trainer.disk.summary import UNREADABLE
from trainer.disk.sweep_plan import Job
from trainer.sweep.job import Place
from trainer.terminal.screen import Screen
from trainer.text import WIDTH, clock, cut

NEW_ROWS = {"Table": "new.csv", "Images": "new_pictures"}  # what predict takes, by dataset


def header(jobs: Sequence[Job], total: int, places: Sequence[Place], folder: Path) -> list[str]:
    """The jobs that are about to run, and where."""
    differing = all_keys(varied([job.overrides for job in jobs]))
    lines = [cut(f"sweep    {total} job{'s' * (total != 1)}" + (": " + " × ".join(differing) if differing else ""))]
    lines += [cut(f"note     {text}") for text in partial_keys([job.overrides for job in jobs])]
    if places:
        cores = f"{places[0].cores} core{'s' * (places[0].cores != 1)} each"
        gpus = ", a GPU each" if places[0].gpu is not None else ""
        lines.append(f"device   {len(places)} side by side, {cores}{gpus}")
    return [*lines, f"run      {layout.relative(folder)}"]


def partial_keys(typed: Sequence[Sequence[str]]) -> list[str]:
    """A sentence for each key that only some jobs have, since it belongs to some options only."""
    pairs = [dict(word.partition("=")[::2] for word in overrides) for overrides in typed]
    sentences = []
    for key in dict.fromkeys(key for job in pairs for key in job):
        having = [job for job in pairs if key in job]
        if len(having) < len(pairs):
            name = key.lstrip("~+")
            group = name.partition(".")[0]
            options = dict.fromkeys(f"{group}={job[group]}" for job in having if group in job)
            sentences.append(f"{name} is set only {'where ' + ' or '.join(options) if options else 'in some jobs'}")
    return sentences


def settings_text(settings: Mapping[str, str]) -> str:
    """Settings as 'lr=0.1 seed=2'."""
    names = short_names(list(settings))
    return " ".join(f"{names[key]}={short_value(value)}" for key, value in settings.items())


def job_lines(number: int, total: int, row: Row, is_best: bool) -> list[str]:
    """A job that has ended: its settings, metric and time; or its failure with reason and log."""
    head = f"[{number:>{len(str(total))}}/{total}] {settings_text(row.settings)}"
    if row.failed:
        return [cut(f"{head}  {row.status}"), *_reason_lines(row)]
    if not row.ok:
        return [cut(f"{head}  {row.status} at step {row.steps:,}")]
    value = row.value(row.monitor)
    metric = f"{row.monitor} {value:.4f}" if value is not None else "no value"
    tail = f"  {metric}  {clock(row.seconds)}{'  best so far' if is_best else ''}"
    return [cut(head, WIDTH - len(tail)) + tail]


def show_rankings(
    screen: Screen, rankings: Sequence[Ranking], runs: Sequence[Row], best_lines: Callable[[Row], list[str]]
) -> None:
    """Print each table with its footnotes and its best run; below them each failed or unreadable run with its
    reason."""
    for ranked in rankings:
        if len(rankings) > 1:
            screen.say()
            screen.say(cut(f"data     {table.heading(ranked)}"), style="bold")
        for index, line in enumerate(table.text_lines(ranked, screen.ascii_only)):
            screen.say(line, style="bold" if index == 0 else None)
        for line in [*table.footnotes(ranked), *(best_lines(ranked.best) if ranked.best is not None else [])]:
            screen.say(line)
    for row in (row for row in runs if row.failed):
        for line in (cut(f"{row.status:<8} {settings_text(row.settings)}"), *_reason_lines(row)):
            screen.say(line, style="red")
    for row in (row for row in runs if row.unreadable):
        for line in (f"{UNREADABLE} {row.name}", *_wrapped(row.error or "")):
            screen.say(line, style="red")


def ranked_by(rankings: Sequence[Ranking]) -> str:
    """How runs are ranked: 'by val/acc (max)', or the number of rankings."""
    if len(rankings) > 1:
        return f"in {len(rankings)} rankings, as their data, splits or metrics differ"
    return f"by {rankings[0].metric or 'nothing'} ({rankings[0].mode})"


def next_lines(sweep: Path, best: Job, *, is_only: bool) -> list[str]:
    """The commands to type next for a sweep's best job. is_only: whether it is the best of the sweep, which then
    stands for it."""
    run = layout.relative(best.folder(sweep))
    name = (layout.LATEST if layout.is_latest(sweep) else layout.relative(sweep)) if is_only else run
    key = "max_steps" if best.data["max_steps"] else "epochs"
    rows = NEW_ROWS.get(best.data["dataset"]["_target_"].rpartition(".")[2], "new.npz")
    words = [f"eval {name}", f"predict {name} {rows}", f"export {name}", f"resume {run} {key}={2 * best.data[key]}"]
    lines = [""]
    for command in (f"trainer {word}" for word in words):
        joined = f"{lines[-1]} · {command}"
        lines = [*lines[:-1], joined] if lines[-1] and len(joined) < WIDTH - 8 else [*lines, command]
    return [f"{'next' if line == lines[1] else '':<9}{line}" for line in lines[1:]]


def _reason_lines(row: Row) -> list[str]:
    return [*_wrapped(row.error or "no reason was left"), f"         log {row.name}/train.log"]


def _wrapped(text: str) -> list[str]:
    return [f"         {line}" for line in textwrap.wrap(text, WIDTH - 9, max_lines=3, placeholder=" …")]
