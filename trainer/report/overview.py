"""The page over all runs below a folder: a table, the curves of those picked, and the settings in which they differ.
The folders may come from anyone: the page shows what stands in them as text."""

import math
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from trainer.compare import rows, table
from trainer.disk import layout, reading
from trainer.report import html, run_entry
from trainer.report.plots import rounded
from trainer.report.run_entry import Entry, Stamp
from trainer.report.scales import thinned
from trainer.text import cleaned, cut

MOST_RUNS = 2000  # the newest ones
MOST_KEYS, MOST_METRICS = 60, 12
MOST_POINTS = 100_000  # of all curves together
FEWEST_POINTS = 8  # of a curve
TIME = re.compile(r"(\d{4}-\d\d-\d\d)/(\d\d)-(\d\d)-(\d\d)")
DAY = re.compile(rf"^(?:{layout.SWEEPS}/)?{layout.DAY}/")


class Overview:
    """All runs below a folder. What was read of a run is kept until one of its files changes.

    entries: the runs by their folders. num_older: how many are left out, beyond the newest MOST_RUNS."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries: dict[Path, Entry] = {}
        self.num_older = 0
        self._made: tuple[list[tuple[Stamp, str]], dict[str, Any]] | None = None

    def read(self) -> list[Entry]:
        """The entries of the newest runs, newest first; those of a sweep are in the order of its jobs."""
        found = sorted(layout.runs(self.root), key=lambda folder: started(self.name(folder)), reverse=True)
        self.num_older = max(0, len(found) - MOST_RUNS)
        self.entries = {folder: self._entry(folder) for folder in found[:MOST_RUNS]}
        return list(self.entries.values())

    def name(self, folder: Path) -> str:
        """The name of a run: its path below the root."""
        return Path(folder).relative_to(self.root).as_posix()

    def data(self) -> dict[str, Any]:
        """The runs as plain data for the page's script: texts, numbers and None."""
        entries = self.read()
        state = [(entry.stamp, entry.status) for entry in entries]
        if self._made is None or self._made[0] != state:
            self._made = state, self._data(entries)
        return self._made[1]

    def page(self, *, live: bool = False) -> str:
        """The page as text. live: whether it asks the server that it came from for what has changed."""
        return html.render(
            "overview.html", ("page.js", "overview.js"), name=str(self.root), data=self.data(), live=live, now=now()
        )

    def _data(self, entries: Sequence[Entry]) -> dict[str, Any]:
        settings = rows.differences([entry.config for entry in entries])
        keys = [key for key in rows.all_keys(settings) if key not in ("dataset", "model")][:MOST_KEYS]
        metrics = metric_names(entries)
        num_curves = sum(name in metrics or name == "train/loss" for entry in entries for name in entry.curves)
        columns = max(FEWEST_POINTS, MOST_POINTS // max(1, num_curves)) // 4
        runs = [
            self._run(entry, [own.get(key) for key in keys], metrics, columns)
            for entry, own in zip(entries, settings, strict=True)
        ]
        names = table.short_names(keys)
        return {
            "keys": [[_text(key), _text(names[key], 40)] for key in keys],
            "metrics": list(map(_text, metrics)),
            "older": self.num_older,
            "runs": runs,
        }

    def _entry(self, folder: Path) -> Entry:
        known = self.entries.get(folder)
        return known if known is not None and known.stamp == run_entry.stamp(folder) else run_entry.read(folder)

    def _run(
        self, entry: Entry, settings: Sequence[str | None], metrics: Sequence[str], columns: int
    ) -> dict[str, Any]:
        name, row = self.name(entry.folder), entry.row
        return {
            "name": _text(DAY.sub("", name), 60),
            "path": cleaned(name),
            "link": "./" + quote(os.fsencode(f"{name}/{layout.REPORT if entry.has_report else ''}")),
            "report": entry.has_report,
            "tags": _text(", ".join(reading.items(entry.facts.get("tags"), str))),
            "notes": _text(reading.text(entry.facts.get("notes"), 300), 300),
            "started": started(name),
            "status": _text(entry.status, 20),
            "error": _text(row.error or "", 300),
            "dataset": _text(reading.text(entry.facts.get("dataset"), 40)),
            "model": _text(reading.text(entry.facts.get("model"), 40)),
            "monitor": _text(row.monitor),
            "steps": row.steps,
            "all": reading.count(entry.facts.get("num_steps")),
            "seconds": round(row.seconds, 2),
            "metrics": [_number(row.metrics.get(name, math.nan)) for name in metrics],
            "settings": [None if value is None else _text(table.short_value(value), 60) for value in settings],
            "curves": {
                _text(name): _columns(thinned(points, columns))
                for name, points in entry.curves.items()
                if name in metrics or name == "train/loss"
            },
        }


def started(name: str) -> str:
    """When a run, or its sweep, began, from its path: '2026-11-22 20:31:07'; '' where the path does not say."""
    found = TIME.search(name)
    return f"{found[1]} {found[2]}:{found[3]}:{found[4]}" if found else ""


def now() -> str:
    """The time of day with its date."""
    return f"{datetime.now():%Y-%m-%d %H:%M:%S}"


def metric_names(entries: Sequence[Entry]) -> list[str]:
    """The metrics that the runs have: those that are monitored first, then by the number of runs that have them."""
    having = Counter(name for entry in entries for name in entry.row.metrics)
    monitored = Counter(entry.row.monitor for entry in entries)
    return sorted(having, key=lambda name: (-monitored[name], -having[name]))[:MOST_METRICS]


def _columns(points: Iterable[tuple[float, float]]) -> tuple[list[int], list[float | None]]:
    """The steps and the values of a curve; None where a value is not finite."""
    kept = list(points)
    return [int(step) for step, _ in kept], [_number(value) for _, value in kept]


def _number(value: float) -> float | None:
    return rounded(value) if math.isfinite(value) else None


def _text(text: str, most: int = 80) -> str:
    return cut(cleaned(text), most)
