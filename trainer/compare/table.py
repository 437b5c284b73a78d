"""The ranking as text, Markdown, CSV and JSON."""

import csv
import io
import json
import math
from collections.abc import Sequence
from typing import Any

from trainer.compare.ranking import Group, Ranking
from trainer.compare.rows import Row
from trainer.text import WIDTH, clock, cut

BARS, ASCII_BARS = "▁▂▃▄▅▆▇█", "_.:-=+*#"
WIDEST = 22  # columns of one setting


def sparkline(values: Sequence[float], *, width: int = 8, ascii_only: bool = False) -> str:
    """A curve in `width` characters at most; '' without a finite value. Each stands for the last value of its share."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite:
        return ""
    bars = ASCII_BARS if ascii_only else BARS
    count = min(width, len(finite))
    picked = [finite[(index + 1) * len(finite) // count - 1] for index in range(count)]
    low, high = min(picked), max(picked)
    return "".join(bars[round((value - low) / (high - low) * 7) if high > low else 0] for value in picked)


def short_names(keys: Sequence[str]) -> dict[str, str]:
    """optimizer.lr as lr, wherever no other key ends like it."""
    last = [key.rpartition(".")[2] for key in keys]
    return {key: end if last.count(end) == 1 else key for key, end in zip(keys, last, strict=True)}


def short_value(text: str) -> str:
    """A number of many digits in four; any other value as it is. What one copies, the best command, has them all."""
    try:
        return f"{float(text):.4g}" if len(text) > 9 else text
    except ValueError:
        return text


def setting_keys(ranking: Ranking) -> list[str]:
    """The columns of what varied."""
    return list(dict.fromkeys(key for group in ranking.groups for key in group.settings))


def cells(ranking: Ranking, ascii_only: bool = False) -> list[list[str]]:
    """Head and rows of the table, as text."""
    keys = setting_keys(ranking)
    names = short_names(keys)
    seeds = any(len(group.rows) > 1 for group in ranking.groups)
    head = ["rank", *(names[key] for key in keys), ranking.metric, *(["n"] if seeds else []), "vs best", "loss", "time"]
    lines = [head]
    for index, group in enumerate(ranking.groups):
        placed = index < ranking.num_ranked
        best = ranking.groups[0]
        gap = "best" if index == 0 else f"{group.mean - best.mean:+.4g}" if group.values else ""
        gap += "  ~" if ranking.within_noise(group) else ""
        seconds = [row.seconds for row in group.rows if row.ok]
        curve = next((row.curve for row in group.rows if row.ok), [])
        line = [
            str(index + 1) if placed else "-",
            *(short_value(group.settings.get(key, "")) for key in keys),
            value_text(group),
            *([f"{len(group.values)}/{len(group.rows)}"] if seeds else []),
            gap if placed else "",
            sparkline(curve, ascii_only=ascii_only),
            clock(sum(seconds) / len(seconds)) if seconds else "",
        ]
        lines.append(line)
    return lines


def value_text(group: Group) -> str:
    """mean ± std, or why there is none."""
    if not group.values:
        return group.failures[0].status if group.failures else group.rows[0].status
    return f"{group.mean:.4f}" + ("" if math.isnan(group.std) else f" ±{group.std:.4f}")


def text_lines(ranking: Ranking, ascii_only: bool = False) -> list[str]:
    """The table in at most 78 columns: the curve goes first where it gets too wide, then settings are cut."""
    table = [[cut(cell, WIDEST) for cell in row] for row in cells(ranking, ascii_only)]
    for column in ("loss", "time", "vs best"):
        if _width(table) > WIDTH:
            at = table[0].index(column)
            table = [row[:at] + row[at + 1 :] for row in table]
    widths = [max(len(row[at]) for row in table) for at in range(len(table[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in table]
    return [cut(line) for line in lines]


def _width(table: list[list[str]]) -> int:
    return sum(max(len(row[at]) for row in table) + 2 for at in range(len(table[0]))) - 2


def footnotes(ranking: Ranking) -> list[str]:
    """What the marks mean, and what mattered."""
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
    """One line a run: its name, what varied, status, metrics, steps, seconds, error."""
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
    """The ranking as plain JSON data; numbers that do not exist are null."""
    groups = []
    for index, group in enumerate(ranking.groups):
        groups.append(
            {
                "rank": index + 1 if index < ranking.num_ranked else None,
                "settings": group.settings,
                "mean": _number(group.mean),
                "std": _number(group.std),
                "values": group.values,
                "within_noise_of_best": ranking.within_noise(group),
                "runs": [_row(row) for row in group.rows],
            }
        )
    return {"metric": ranking.metric, "mode": ranking.mode, "share_of_variance": ranking.shares, "groups": groups}


def json_text(ranking: Ranking) -> str:
    """as_data, as text."""
    return json.dumps(as_data(ranking), indent=2, allow_nan=False)


def _row(row: Row) -> dict[str, Any]:
    return {
        "run": row.name,
        "settings": row.settings,
        "status": row.status,
        "metrics": {name: _number(value) for name, value in row.metrics.items()},
        "steps": row.steps,
        "seconds": round(row.seconds, 3),
        "error": row.error,
    }


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None
