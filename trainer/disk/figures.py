"""Figures as plain data: what a task shows of a model's predictions, and report/ draws. Stored in outcome.json."""

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from trainer.disk import reading
from trainer.disk.json_text import finite

MOST_FIGURES = 24
MOST_BYTES = 1_200_000  # of all figures on a page, about
MOST_SERIES, MOST_POINTS = 8, 200  # of curves
MOST_ROWS, MOST_BESIDE, MOST_SIDE = 16, 4, 64  # of pictures: rows, pictures in a row, pixels of a side
MOST_PARTS, MOST_NAMES = 16, 8  # of matrices: how many, and their rows
MOST_LINES, MOST_COLUMNS = 100, 12  # of a table
MOST_WORDS = 64  # of a line of text
LONG, SHORT = 300, 40  # characters of a caption, and of a name, cell or word

Series = tuple[str, Sequence[tuple[float, float]]]  # a name and its points (x, y)
Cell = str | float


@dataclass(frozen=True)
class Picture:
    """Pixels, 0 to 255, row by row: height × width × channels (1 or 3) bytes."""

    height: int
    width: int
    channels: int
    pixels: bytes


@dataclass(frozen=True)
class Curves:
    """Curves over one axis. diagonal: whether the line y = x is drawn, to compare."""

    title: str
    caption: str
    x_name: str
    y_name: str
    series: Sequence[Series]
    diagonal: bool = False


@dataclass(frozen=True)
class Pictures:
    """Rows of pictures side by side. names: what stands in each place; rows: (label, its pictures); key: what a colour
    means, as (name, '#rrggbb')."""

    title: str
    caption: str
    names: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Picture]]]
    key: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Matrices:
    """Small matrices of counts[truth][guess], each with a label. names: of the rows, and of the columns."""

    title: str
    caption: str
    names: Sequence[str]
    parts: Sequence[tuple[str, Sequence[Sequence[int]]]]


@dataclass(frozen=True)
class Table:
    """A table of texts and numbers."""

    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Texts:
    """Sequences of words below each other. names: of the lines; rows: (label, the words of each line, the places where
    they are marked)."""

    title: str
    caption: str
    names: Sequence[str]
    rows: Sequence[tuple[str, Sequence[Sequence[str]], Sequence[int]]]


Figure: TypeAlias = Curves | Pictures | Matrices | Table | Texts
KINDS = {"curves": Curves, "pictures": Pictures, "matrices": Matrices, "table": Table, "texts": Texts}
NAMES = {kind: name for name, kind in KINDS.items()}


def as_data(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    """Figures as JSON holds them."""
    return [{"kind": NAMES[type(figure)], **_plain(vars(figure))} for figure in figures]


def picture_data(picture: Picture) -> dict[str, Any]:
    """A picture as JSON holds it."""
    return {**vars(picture), "pixels": base64.b64encode(picture.pixels).decode()}


def _plain(value: Any) -> Any:
    if isinstance(value, Picture):
        return picture_data(value)
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, (list, tuple)) else finite(value)


def read(data: Any) -> list[Figure]:
    """The figures of any JSON, without malformed parts, as many as fit on a page of MOST_BYTES."""
    found, left = list[Figure](), MOST_BYTES
    for item in reading.items(data, dict)[:MOST_FIGURES]:
        reader = READERS.get(str(item.get("kind")))
        figure = reader(item, _text(item.get("title"), 80), _text(item.get("caption"), LONG)) if reader else None
        if figure is not None and (size := _size(figure)) <= left:
            found.append(figure)
            left -= size
    return found


def read_picture(data: Any) -> Picture | None:
    """A picture of any JSON; None for what is none, or too large."""
    if not isinstance(data, dict):
        return None
    height, width, channels = (reading.count(data.get(name)) or 0 for name in ("height", "width", "channels"))
    try:
        pixels = base64.b64decode(data.get("pixels", ""), validate=True)
    except (binascii.Error, ValueError, TypeError):
        return None
    fits = 0 < height <= MOST_SIDE and 0 < width <= MOST_SIDE and channels in (1, 3)
    return Picture(height, width, channels, pixels) if fits and len(pixels) == height * width * channels else None


def _curves(data: Mapping[str, Any], title: str, caption: str) -> Curves | None:
    series = []
    for item in _pairs(data.get("series"))[:MOST_SERIES]:
        points = []
        for pair in _pairs(item[1]):
            x, y = map(reading.number, pair)
            if x is not None and y is not None:
                points.append((x, y))
        if points:
            series.append((_text(item[0]), points[:MOST_POINTS]))
    names = _text(data.get("x_name")), _text(data.get("y_name"))
    return Curves(title, caption, *names, series, data.get("diagonal") is True) if series else None


def _pictures(data: Mapping[str, Any], title: str, caption: str) -> Pictures | None:
    names, rows = _texts(data.get("names"), MOST_BESIDE), []
    for label, beside in _pairs(data.get("rows"))[:MOST_ROWS]:
        pictures = [picture for item in reading.items(beside, dict) if (picture := read_picture(item)) is not None]
        if len(pictures) == len(names):
            rows.append((_text(label), pictures))
    key = [(_text(name), str(colour)) for name, colour in _pairs(data.get("key")) if _is_colour(colour)]
    return Pictures(title, caption, names, rows, key[: 2 * MOST_ROWS]) if rows and names else None


def _matrices(data: Mapping[str, Any], title: str, caption: str) -> Matrices | None:
    names, parts = _texts(data.get("names"), MOST_NAMES), []
    for label, counts in _pairs(data.get("parts"))[:MOST_PARTS]:
        rows = [[reading.count(value) for value in row] for row in reading.items(counts, list)]
        if [len(row) for row in rows] == [len(names)] * len(names) and not any(None in row for row in rows):
            parts.append((_text(label), rows))
    return Matrices(title, caption, names, parts) if parts and names else None  # type: ignore[arg-type]


def _table(data: Mapping[str, Any], title: str, caption: str) -> Table | None:
    columns = _texts(data.get("columns"), MOST_COLUMNS)
    rows = [
        [_cell(cell) for cell in row]
        for row in reading.items(data.get("rows"), list)[:MOST_LINES]
        if len(row) == len(columns)
    ]
    return Table(title, caption, columns, rows) if rows and columns else None


def _words(data: Mapping[str, Any], title: str, caption: str) -> Texts | None:
    names, rows = _texts(data.get("names"), MOST_BESIDE), []
    for row in reading.items(data.get("rows"), list)[:MOST_ROWS]:
        lines = [_texts(line, MOST_WORDS) for line in reading.items(row[1], list)] if len(row) == 3 else []
        if names and len(lines) == len(names):
            marked = [place for place in map(reading.count, reading.items(row[2])[:MOST_WORDS]) if place is not None]
            rows.append((_text(row[0]), lines, marked))
    return Texts(title, caption, names, rows) if rows else None


READERS: dict[str, Callable[[Mapping[str, Any], str, str], Figure | None]] = {
    "curves": _curves,
    "pictures": _pictures,
    "matrices": _matrices,
    "table": _table,
    "texts": _words,
}


def _text(value: Any, most: int = SHORT) -> str:
    return reading.text(value, most)


def _texts(value: Any, most: int) -> list[str]:
    return [_text(item) for item in reading.items(value, str)[:most]]


def _cell(value: Any) -> Cell:
    return found if (found := reading.number(value)) is not None else _text(value)


def _pairs(value: Any) -> list[Any]:
    return [item for item in reading.items(value, list) if len(item) == 2]


def _is_colour(value: Any) -> bool:
    return isinstance(value, str) and re.fullmatch("#[0-9a-f]{6}", value) is not None


def _size(figure: Figure) -> int:
    """About how many bytes a figure takes on a page. Each character may need several, such as &lt; for <."""
    if isinstance(figure, Curves):
        return sum(60 * len(points) for _, points in figure.series)
    if isinstance(figure, Pictures):
        return sum(200 + 3 * len(picture.pixels) // 2 for _, beside in figure.rows for picture in beside)
    if isinstance(figure, Matrices):
        return sum(200 * len(figure.names) ** 2 for _ in figure.parts)
    lines = figure.rows if isinstance(figure, Table) else [line for _, lines, _ in figure.rows for line in lines]
    return sum(30 + 5 * len(str(cell).encode()) for line in lines for cell in line)
