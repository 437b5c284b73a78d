"""Rankings as text, Markdown, CSV and JSON."""

import math
from collections.abc import Callable, Mapping, Sequence

from trainer.compare.group import Group
from trainer.compare.protocol import FRACTION
from trainer.compare.ranking import Ranking
from trainer.compare.rows import Row, all_keys
from trainer.disk.summary import UNREADABLE
from trainer.text import WIDTH, cleaned, counted, csv_lines, cut

BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
WIDEST = 22  # columns of one setting
TEST = "test"  # the column of the same metric on the test split


def sparkline(values: Sequence[float], *, width: int = 8, ascii_only: bool = False) -> str:
    """A curve in at most `width` characters, each the last value of its part; '' without a finite value."""
    numbers = list(filter(math.isfinite, values))
    if not numbers:
        return ""
    bars = ASCII_BARS if ascii_only else BARS
    count = min(width, len(numbers))
    picked = [numbers[(index + 1) * len(numbers) // count - 1] for index in range(count)]
    low, high = min(picked), max(picked)
    return "".join(bars[round((value - low) / (high - low) * 7) if high > low else 0] for value in picked)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """{key: short name}: lr for optimizer.lr, unless another key ends in lr."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: end if last.count(end) == 1 else key for key, end in zip(keys, last, strict=True)}


def short_value(text: str) -> str:
    """A long number with four digits; any other value unchanged."""
    try:
        return f"{float(text):.4g}" if len(text) > 9 else text
    except ValueError:
        return text


def settings_text(settings: Mapping[str, str], between: str = " ") -> str:
    """Settings as 'lr=0.1 seed=2'."""
    names = short_names(list(settings))
    return between.join(f"{names[key]}={short_value(value)}" for key, value in settings.items())


def setting_keys(ranking: Ranking) -> list[str]:
    """The keys that varied, one column each; of learning curves the share of the training rows is the last."""
    keys = all_keys(group.settings for group in ranking.groups)
    return sorted(keys, key=lambda key: bool(ranking.curves) and key.lstrip("+") == FRACTION)


def cells(ranking: Ranking, ascii_only: bool = False) -> list[list[str]]:
    """The heading and the rows of the table, as text."""
    if ranking.curves:
        return curve_cells(ranking, ascii_only)
    keys = setting_keys(ranking)
    names = short_names(keys).values()
    head = ["rank", *names, ranking.metric, "n", "vs best", "curve", "time"]
    if tested := any(group.test is not None for group in ranking.groups):
        head.insert(head.index("n"), TEST)
    table = [head]
    for index, group in enumerate(ranking.groups):
        rank, gap = ranking.place(index)
        settings = [short_value(group.settings.get(key, "")) for key in keys]
        gap = f"{gap}  {ranking.mark(group)}".rstrip() if gap else ""
        curve = sparkline(group.curve, ascii_only=ascii_only)
        test = [f"{group.test:.4f}" if group.test is not None else ""] * tested
        table.append([rank, *settings, value_text(group), *test, seeds_text(group), gap, curve, group.time])
    return table


def curve_cells(ranking: Ranking, ascii_only: bool = False) -> list[list[str]]:
    """The heading and the rows of the table of learning curves: each configuration by its number of training rows."""
    keys, groups = setting_keys(ranking), curve_groups(ranking)
    tested = any(group.test is not None for group in groups)
    table = [[*short_names(keys).values(), "rows", ranking.metric, *[TEST] * tested, "n", "curve", "time"]]
    for group in groups:
        settings = [short_value(group.settings.get(key, "")) for key in keys]
        num_train = f"{group.num_train:,}" if group.num_train is not None else ""
        test = [f"{group.test:.4f}" if group.test is not None else ""] * tested
        curve = sparkline(group.curve, ascii_only=ascii_only)
        table.append([*settings, num_train, spread_text(group), *test, seeds_text(group), curve, group.time])
    return table


def curve_groups(ranking: Ranking) -> list[Group]:
    """The groups of the learning curves, one curve after the other."""
    return [group for curve in ranking.curves for group in curve.groups]


def spread_text(group: Group) -> str:
    """mean ± standard deviation over seeds and folds, or the status of a run where there is no value."""
    if not group.values:
        return (group.failures or group.rows)[0].status
    return f"{group.mean:.4f}" + (f" ±{group.std:.4f}" if len(group.values) > 1 else "")


def value_text(group: Group) -> str:
    """mean ± the distance to the farther limit of its 95% interval, or the status of a run where there is no value."""
    if not group.values:
        return (group.failures or group.rows)[0].status
    if group.interval is None:
        return f"{group.mean:.4f}"
    low, high = group.interval
    return f"{group.mean:.4f} ±{max(group.mean - low, high - group.mean):.4f}"


def seeds_text(group: Group) -> str:
    """Number of seeds with a value, and of all seeds where some have none."""
    return str(len(group.values)) + (f"/{group.num_seeds}" if group.num_seeds > len(group.values) else "")


def text_lines(ranking: Ranking, ascii_only: bool = False) -> list[str]:
    """The table in at most 78 columns: the columns curve and time go first, then the differences, but not their marks,
    then settings get narrower, the value and n never."""
    table, first = cells(ranking, ascii_only), 0 if ranking.curves else 1
    keys = range(first, first + len(setting_keys(ranking)))
    table = [[cut(cell, WIDEST) for cell in row] for row in table]
    for name in ("curve", "time"):
        if _width(table) > WIDTH:
            at = table[0].index(name)
            table = [row[:at] + row[at + 1 :] for row in table]
    if "vs best" in table[0] and _width(table) > WIDTH:
        at = table[0].index("vs best")
        table = [[*row[:at], row[at].rpartition("  ")[2] if "~" in row[at] else "", *row[at + 1 :]] for row in table]
    while _width(table) > WIDTH and (widest := max(_widths(table)[key] for key in keys)) > 1:
        table = [[cut(cell, widest - 1) if at in keys else cell for at, cell in enumerate(row)] for row in table]
    return [cut("  ".join(map(str.ljust, row, _widths(table))).rstrip()) for row in table]


def _width(table: list[list[str]]) -> int:
    return sum(_widths(table)) + 2 * (len(table[0]) - 1)


def _widths(table: list[list[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*table, strict=True)]


def heading(ranking: Ranking) -> str:
    """What a ranking is of: its data, the number of its runs, and the metric."""
    return f"{ranking.data}: {counted(ranking.num_runs, 'run')} by {ranking.metric or 'nothing'} ({ranking.mode})"


def markdown(rankings: Sequence[Ranking], runs: Sequence[Row] = ()) -> str:
    """A table for each ranking, for a README or an issue; below them those of the runs that are unreadable."""
    parts = []
    for ranking in rankings:
        head, *rows = [[cleaned(cell).replace("|", "\\|") for cell in row] for row in cells(ranking)]
        lines = ["| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows]]
        parts.append("\n".join(lines if len(rankings) == 1 else [f"**{cleaned(heading(ranking))}**", "", *lines]))
    parts += [cleaned(f"{UNREADABLE}: {row.name} ({row.error})") for row in runs if row.unreadable]
    return "\n\n".join(parts)


NO_PLACE = ("", "", "", "-", "")  # of a run that is not ranked, as another process works on it


def csv_text(rows: Sequence[Row], rankings: Sequence[Ranking], shown: Callable[[str], str] = str) -> str:
    """One line a run: name, settings that varied, status, metrics, steps, seconds, error, and its place: the data, the
    number of validation rows, the metric it is ranked by, its rank among the runs of this data, and the number of
    training rows. shown: makes each text fit for a terminal; a file gets the exact words."""
    keys = all_keys(row.settings for row in rows)
    metrics = list(dict.fromkeys(name for row in rows for name in (*row.metrics, *row.test)))
    places = {
        row.name: (ranking.data, row.num_val or "", ranking.metric, ranking.place(index)[0], row.num_train or "")
        for ranking in rankings
        for index, group in enumerate(ranking.groups)
        for row in group.rows
    }
    place_columns = ["data", "num_val", "metric", "rank", "num_train"]
    lines: list[list[object]] = [["run", *keys, "status", *metrics, "steps", "seconds", "error", *place_columns]]
    for row in rows:
        settings = [row.settings.get(key, "") for key in keys]
        measured = {**row.metrics, **row.test}
        numbers = [measured.get(name, "") for name in metrics]
        ended = [row.steps, round(row.seconds, 3), row.error or ""]
        lines.append([row.name, *settings, row.status, *numbers, *ended, *places.get(row.name, NO_PLACE)])
    return csv_lines([[shown(value) if isinstance(value, str) else value for value in line] for line in lines])
