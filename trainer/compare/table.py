"""The ranking as text, Markdown, CSV and JSON."""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from trainer.compare.ranking import Group, Ranking
from trainer.compare.rows import Row
from trainer.disk.json_text import finite
from trainer.text import WIDTH, cut

BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
WIDEST = 22  # columns of one setting


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


def setting_keys(ranking: Ranking) -> list[str]:
    """The keys that varied, one column each."""
    return list(dict.fromkeys(key for group in ranking.groups for key in group.settings))


def cells(ranking: Ranking, ascii_only: bool = False) -> list[list[str]]:
    """The heading and the rows of the table, as text."""
    keys = setting_keys(ranking)
    seeds = any(len(group.rows) > 1 for group in ranking.groups)
    names = short_names(keys).values()
    head = ["rank", *names, ranking.metric, *(["n"] if seeds else []), "vs best", "loss", "time"]
    table = [head]
    for index, group in enumerate(ranking.groups):
        rank, gap = ranking.place(index)
        settings = [short_value(group.settings.get(key, "")) for key in keys]
        num_runs = [f"{len(group.values)}/{len(group.rows)}"] if seeds else []
        gap += "  ~" if gap and ranking.within_noise(group) else ""
        curve = sparkline(group.curve, ascii_only=ascii_only)
        table.append([rank, *settings, value_text(group), *num_runs, gap, curve, group.time])
    return table


def value_text(group: Group) -> str:
    """mean ± std, or the status of a run where there is no value."""
    if not group.values:
        return (group.failures or group.rows)[0].status
    return f"{group.mean:.4f}" + ("" if math.isnan(group.std) else f" ±{group.std:.4f}")


def text_lines(ranking: Ranking, ascii_only: bool = False) -> list[str]:
    """The table in at most 78 columns: the columns loss, time and vs best go first, then lines are cut."""
    table = [[cut(cell, WIDEST) for cell in row] for row in cells(ranking, ascii_only)]
    for name in ("loss", "time", "vs best"):
        if sum(_widths(table)) + 2 * (len(table[0]) - 1) > WIDTH:
            at = table[0].index(name)
            table = [row[:at] + row[at + 1 :] for row in table]
    return [cut("  ".join(map(str.ljust, row, _widths(table))).rstrip()) for row in table]


def _widths(table: list[list[str]]) -> list[int]:
    return [max(map(len, column)) for column in zip(*table, strict=True)]


def footnotes(ranking: Ranking) -> list[str]:
    """The meaning of the marks, and each key's share of the variance."""
    notes = []
    if any(ranking.within_noise(group) for group in ranking.groups[: ranking.num_ranked]):
        notes.append("~        within noise of the best: the intervals mean ± std overlap")
    if ranking.shares:
        names = short_names(list(ranking.shares))
        parts = sorted(ranking.shares.items(), key=lambda part: -part[1])
        rest = max(0.0, 1 - sum(ranking.shares.values()))
        words = ", ".join(f"{names[key]} {share:.0%}" for key, share in parts)
        notes.append(f"mattered {words}, together {rest:.0%} of the variance")
    return notes


def markdown(ranking: Ranking) -> str:
    """A table for a README or an issue."""
    head, *rows = [[cell.replace("|", "\\|") for cell in row] for row in cells(ranking)]
    rule = ["---"] * len(head)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rows])


def csv_text(rows: Sequence[Row]) -> str:
    """One line a run: name, settings that varied, status, metrics, steps, seconds, error."""
    keys = list(dict.fromkeys(key for row in rows for key in row.settings))
    metrics = list(dict.fromkeys(name for row in rows for name in row.metrics))
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["run", *keys, "status", *metrics, "steps", "seconds", "error"])
    for row in rows:
        settings = [row.settings.get(key, "") for key in keys]
        numbers = [row.metrics.get(name, "") for name in metrics]
        writer.writerow([row.name, *settings, row.status, *numbers, row.steps, round(row.seconds, 3), row.error or ""])
    return out.getvalue()


def as_data(ranking: Ranking) -> dict[str, Any]:
    """The ranking as plain JSON data; missing numbers are null."""
    groups = [
        {
            "rank": index + 1 if index < ranking.num_ranked else None,
            "settings": group.settings,
            "mean": finite(group.mean),
            "std": finite(group.std),
            "values": group.values,
            "within_noise_of_best": ranking.within_noise(group),
            "runs": [_row(row) for row in group.rows],
        }
        for index, group in enumerate(ranking.groups)
    ]
    return {"metric": ranking.metric, "mode": ranking.mode, "share_of_variance": ranking.shares, "groups": groups}


def json_text(ranking: Ranking) -> str:
    """The ranking as JSON text, see `as_data`."""
    return json.dumps(as_data(ranking), indent=2, allow_nan=False)


def _row(row: Row) -> dict[str, Any]:
    return {
        "run": row.name,
        "settings": row.settings,
        "status": row.status,
        "metrics": {name: finite(value) for name, value in row.metrics.items()},
        "steps": row.steps,
        "seconds": round(row.seconds, 3),
        "error": row.error,
    }
