"""importance.json: how much each column of a run's data matters to its kept weights. Imports no torch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.disk import layout, reading, storage
from trainer.disk.json_text import finite

FORMAT = 1
MOST = 2**24  # bytes that are read
MOST_COLUMNS = 10_000
MOST_TEXT = 40  # characters of a name


@dataclass(frozen=True)
class ColumnImportance:
    """mean: by how much the metric gets worse when the column is shuffled, over the shuffles; below 0 where it gets
    better. reach: of the 95% interval of that mean, to each side."""

    name: str
    mean: float
    reach: float


@dataclass(frozen=True)
class Importance:
    """metric: its name, such as val/acc; mode: its better direction, max or min; score: its value on the rows as they
    are. num_rows: validation rows; num_shuffles: of each column. columns: the most important first."""

    metric: str
    mode: str
    score: float
    num_rows: int
    num_shuffles: int
    columns: Sequence[ColumnImportance]


def write(folder: Path, found: Importance) -> None:
    """Write RUN/importance.json."""
    data = asdict(found)
    data["columns"] = [[column.name, finite(column.mean), finite(column.reach)] for column in found.columns]
    storage.write_json(
        folder / layout.IMPORTANCE, {"format": FORMAT, **data, "score": finite(found.score)}, indent=None
    )


def read(folder: Path) -> Importance | None:
    """The importance.json of any run, without its malformed parts. None where there is no readable file."""
    try:
        data = reading.read_json(folder / layout.IMPORTANCE, MOST)
    except (FileNotFoundError, reading.Damaged):
        return None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        return None
    num_rows, num_shuffles = (reading.count(data.get(name)) for name in ("num_rows", "num_shuffles"))
    score, mode = reading.number(data.get("score")), data.get("mode")
    columns = list(filter(None, map(_column, reading.items(data.get("columns"), list)[:MOST_COLUMNS])))
    if score is None or mode not in ("max", "min") or not (num_rows and num_shuffles and columns):
        return None
    return Importance(reading.text(data.get("metric"), 80), mode, score, num_rows, num_shuffles, columns)


def _column(row: list[Any]) -> ColumnImportance | None:
    mean, reach = (reading.number(value) for value in row[1:]) if len(row) == 3 else (None, None)
    if mean is None or reach is None or not isinstance(row[0], str):
        return None
    return ColumnImportance(reading.text(row[0], MOST_TEXT), mean, abs(reach))
