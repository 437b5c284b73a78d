"""What a sweep prints about its jobs, and the ranking, at most 78 columns wide."""

import math
import shlex
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from trainer.compare import marks, table
from trainer.compare.ranking import Ranking
from trainer.compare.rows import Row, all_keys, varied
from trainer.compare.table import settings_text
from trainer.disk import layout
from trainer.disk.summary import UNREADABLE
from trainer.disk.sweep_plan import Job
from trainer.sweep.job import Place
from trainer.terminal.screen import Screen
from trainer.text import WIDTH, clock, counted, cut, labelled

NEW_ROWS = {"Table": "new.csv", "Images": "new_pictures"}  # what predict takes, by dataset


def header(jobs: Sequence[Job], total: int, places: Sequence[Place], folder: Path, note: str = "") -> list[str]:
    """The jobs that are about to run, and where. note: what else there is to say."""
    settings = varied([job.overrides for job in jobs])
    differing = all_keys(settings) if jobs[0].trial else axes(settings)  # trials may be in step by chance
    lines = wrapped(f"sweep    {counted(total, 'job')}" + (": " + " × ".join(differing) if differing else ""))
    notes = [*partial_keys([job.overrides for job in jobs]), *filter(None, [note])]
    lines += [line for text in notes for line in wrapped(f"note     {text}")]
    if places:
        cores = f"{counted(places[0].cores, 'core')} each"
        gpus = ", a GPU each" if places[0].gpu is not None else ""
        side = f"{len(places)} side by side" if len(places) > 1 else "one at a time"
        lines.append(f"device   {side}, {cores}{gpus}")
    return [*lines, f"run      {layout.relative(folder)}"]


def axes(settings: Sequence[Mapping[str, str]]) -> list[str]:
    """The keys that vary; those that vary in step are one axis, (model, optimizer.lr)."""
    groups: list[list[str]] = []
    values = {key: [own.get(key) for own in settings] for key in all_keys(settings)}
    for key, own in values.items():
        for group in groups:
            first = values[group[0]]
            if len({*zip(own, first, strict=True)}) == len({*own}) == len({*first}):
                group.append(key)
                break
        else:
            groups.append([key])
    return [group[0] if len(group) == 1 else f"({', '.join(group)})" for group in groups]


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


def job_lines(number: int, total: int, row: Row, praise: str = "") -> list[str]:
    """A job that has ended: its settings, metric and time; or its failure with reason and log. praise: such as best so
    far."""
    head = f"[{number:>{len(str(total))}}/{total}] {settings_text(row.settings)}"
    if has_reason(row):
        return [*wrapped(f"{head}  {row.status}"), *_reason_lines(row)]
    if not row.ok:
        return wrapped(f"{head}  {row.status} at step {row.steps:,}")
    value = row.value(row.monitor)
    metric = f"{row.monitor} {value:.4f}" if value is not None else "no value"
    *lines, last = wrapped(head)
    tail = "  ".join(filter(None, [metric, clock(row.seconds), praise]))
    return [*lines, f"{last}  {tail}"] if len(last) + 2 + len(tail) <= WIDTH else [*lines, last, f"{'':<9}{tail}"]


def wrapped(line: str) -> list[str]:
    """A line in as many as it needs, so that the last settings, such as the seed, are never cut off."""
    head = line[:9]
    folded = textwrap.wrap(line[9:], WIDTH - 9, break_on_hyphens=False) or [""]
    return [head + folded[0], *(f"{'':<9}{more}" for more in folded[1:])]


def show_end(
    screen: Screen,
    folder: Path,
    jobs: Sequence[Job],
    results: Sequence[Row],
    ranked: Sequence[Ranking],
    again: str,
    num_late: int = 0,
) -> None:
    """Print how a sweep ended: its tables, their footnotes, the failures, and the next commands. again: the command
    that resumes it; num_late: the trials that its max_time left unproposed."""
    by_name = {str(layout.relative(job.folder(folder))): job for job in jobs}
    counts = ", ".join(f"{count} {status}" for status, count in Counter(row.status for row in results).items())
    screen.say("", f"sweep    {counted(len(results), 'job')}: {counts}; {ranked_by(ranked)}", style="bold")

    def best_lines(best: Row) -> list[str]:
        command = f"trainer train {shlex.join(by_name[best.name].overrides)}"
        return [*labelled("best     ", [command]), f"run      {best.name}"]

    show_rankings(screen, ranked, results, best_lines)
    if num_late:
        trials = counted(len(jobs) + num_late, "trial")
        screen.say(f"late     {num_late} of {trials} were not proposed: hydra.sweeper.max_time is over")
    if num_late or any(row.status not in ("ok", "pruned") for row in results):
        screen.entry("again", [again])
    names = [name for name in (layout.REPORT, layout.TABLE) if (folder / name).exists()]
    screen.say(f"files    {layout.relative(folder)}  {' '.join(names)}")
    if best := next((ranking.best for ranking in ranked if ranking.best is not None), None):
        for line in next_lines(folder, by_name[best.name], is_only=len(ranked) == 1):
            screen.say(line)


def show_rankings(
    screen: Screen, rankings: Sequence[Ranking], runs: Sequence[Row], best_lines: Callable[[Row], list[str]]
) -> None:
    """Print each table with its footnotes and its best run; below them the runs that have no other to be compared with,
    and each failed or unreadable run with its reason."""
    alone = [ranked for ranked in rankings if ranked.num_runs == 1] if len(rankings) > 1 else []
    for ranked in (ranked for ranked in rankings if ranked not in alone):
        if len(rankings) > 1:
            screen.say()
            screen.say(cut(f"data     {table.heading(ranked)}"), style="bold")
        for index, line in enumerate(table.text_lines(ranked, screen.ascii_only)):
            screen.say(line, style="bold" if index == 0 else None)
        for line in [line for note in marks.footnotes(ranked) for line in wrapped(note)]:
            screen.say(line)
        for line in chart_lines(ranked, screen.ascii_only):
            screen.say(line)
        for line in best_lines(ranked.best) if ranked.best is not None else []:
            screen.say(line)
    if alone:
        screen.say()
        screen.say(f"alone    {counted(len(alone), 'run')} with nothing to be compared with:", style="bold")
        for line in (line for ranked in alone for line in alone_lines(ranked)):
            screen.say(line)
    for row in filter(has_reason, runs):
        for line in (*wrapped(f"{row.status:<8} {settings_text(row.settings)}"), *_reason_lines(row)):
            screen.say(line, style="red")
    for row in (row for row in runs if row.unreadable):
        for line in (f"{UNREADABLE} {row.name}", *_wrapped(row.error or "")):
            screen.say(line, style="red")


def chart_lines(ranking: Ranking, ascii_only: bool) -> list[str]:
    """A learning curve over the number of training rows, on a log scale; [] without one, with fewer than three points,
    or with several curves, which would look alike."""
    curve = ranking.curves[0].groups if len(ranking.curves) == 1 else []
    known = [(group.num_train, group.mean) for group in curve if group.num_train and group.values]
    if len(known) < 3:
        return []
    from trainer.terminal.chart import chart  # plotille, which no other ranking needs

    series = {"mean": [(math.log(rows), mean) for rows, mean in known]}
    ends = f"{known[0][0]:,} rows", f"{known[-1][0]:,} rows (log scale)"
    return chart(series, title=ranking.metric, width=WIDTH, ascii_only=ascii_only, ends=ends, may_be_log=False)


def has_reason(row: Row) -> bool:
    """Whether a job's reason is shown: it failed, something ended it, or another process works on it."""
    return row.failed or (row.error is not None and row.status in ("interrupted", "running"))


def alone_lines(ranking: Ranking) -> list[str]:
    """A run that is the only one of its data and metric, by name, and its metric."""
    row = ranking.groups[0].rows[0]
    value = row.value(ranking.metric)
    missing = f"{row.status}, no {ranking.metric}" if ranking.metric else row.status
    metric = f"{ranking.metric} {value:.4f}" if value is not None else missing
    name, text = f"         {row.name}", f"{metric}  {ranking.data}"
    if len(name) + 2 + len(text) <= WIDTH:
        return [f"{name}  {text}"]
    return [cut(name), *textwrap.wrap(text, WIDTH, initial_indent=" " * 11, subsequent_indent=" " * 11)]


def ranked_by(rankings: Sequence[Ranking]) -> str:
    """How runs are ranked: 'by val/acc (max)', or the number of rankings."""
    if len(rankings) > 1:
        return f"in {len(rankings)} rankings, as their data, splits or metrics differ"
    over = " over the training rows" if rankings[0].curves else ""
    return f"by {rankings[0].metric or 'nothing'} ({rankings[0].mode}){over}"


def next_lines(sweep: Path, best: Job, *, is_only: bool) -> list[str]:
    """The commands to type next for a sweep's best job. is_only: whether it is the best of the sweep, which then
    stands for it."""
    run = layout.relative(best.folder(sweep))
    name = (layout.LATEST if layout.is_latest(sweep) else layout.relative(sweep)) if is_only else run
    key = "max_steps" if best.data["max_steps"] else "epochs"
    rows = NEW_ROWS.get(best.data["dataset"]["_target_"].rpartition(".")[2], "new.npz")
    words = [f"eval {name}", f"predict {name} {rows}", f"export {name}", f"resume {run} {key}={2 * best.data[key]}"]
    found: list[str] = []
    for command in (f"trainer {word}" for word in words):
        if found and len(found[-1]) + 3 + len(command) <= WIDTH - 9:
            found[-1] += f" · {command}"
        else:
            found.append(command)
    return labelled("next     ", found)


def _reason_lines(row: Row) -> list[str]:
    return [*_wrapped(row.error or "no reason was left"), f"         log {row.name}/train.log"]


def _wrapped(text: str) -> list[str]:
    return [f"         {line}" for line in textwrap.wrap(text, WIDTH - 9, max_lines=3, placeholder=" …")]
