"""What the model uses, for a page: a bar for each column, with the interval of its importance."""

import math
import shlex
from dataclasses import dataclass
from pathlib import Path

from trainer.disk import layout, reading
from trainer.disk.importance import ColumnImportance, Importance
from trainer.report import html
from trainer.report.scales import Scale

MOST = 20  # columns that are shown
MOST_FACTS = 16 * 2**20  # bytes of preprocessing.json


@dataclass(frozen=True)
class Bar:
    """start, width: of the bar, low, high: of the interval, in percent of the width of the drawing."""

    name: str
    text: str
    start: float
    width: float
    low: float
    high: float


@dataclass(frozen=True)
class Bars:
    """zero: the place of 0, in percent. num_more: columns that are not shown."""

    found: Importance
    bars: list[Bar]
    zero: float
    num_more: int


def bars(found: Importance) -> Bars:
    """The first columns on one scale, which holds 0 and all of their intervals."""
    shown = found.columns[:MOST]
    low = min(0.0, *(column.mean - column.reach for column in shown))
    high = max(0.0, *(column.mean + column.reach for column in shown))
    scale = Scale(low, high if high / 2 > low / 2 else low + 1.0)

    def place(value: float) -> float:
        return round(100 * scale.place(value), 2)

    def bar(column: ColumnImportance, text: str) -> Bar:
        start, end = sorted((place(0.0), place(column.mean)))
        interval = place(column.mean - column.reach), place(column.mean + column.reach)
        return Bar(html.visible(column.name), text, start, round(end - start, 2), *interval)

    return Bars(found, list(map(bar, shown, texts(found))), place(0.0), len(found.columns) - len(shown))


def texts(found: Importance) -> list[str]:
    """The mean and the interval of each column, all with the decimals that the largest mean needs."""
    largest = max(abs(column.mean) for column in found.columns)
    if largest and not 1e-4 <= largest < 1e7:
        return [f"{html.metric_text(column.mean)} ± {html.metric_text(column.reach)}" for column in found.columns]
    power = math.floor(math.log10(largest)) if largest else -1
    decimals = max(4, 2 - power) if power < 1 else max(0, 3 - power)
    return [f"{column.mean:z,.{decimals}f} ± {column.reach:,.{decimals}f}" for column in found.columns]


def to_ask(folder: Path, num_val: int | None) -> str:
    """What to type for the importances of a run that has none; '' for a run that is not on a table, or holds back no
    rows. num_val: the number of validation rows, if known."""
    try:
        facts = reading.read_json(folder / layout.PREPROCESSING_FACTS, MOST_FACTS)
    except (FileNotFoundError, reading.Damaged):
        return ""
    if not isinstance(facts, dict) or facts.get("table") is None or (num_val or 0) < 2:
        return ""
    is_job = (folder.parent / layout.SWEEP).is_file()
    name = f"{folder.parent.name}/{folder.name}" if is_job else folder.name
    return f"trainer report {shlex.quote(name)} --importance"
