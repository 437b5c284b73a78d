"""Figures as plain data: read back as they were, and limited, whoever wrote them."""

import json
import os

import pytest

from trainer.disk import figures
from trainer.disk.figures import Curves, Matrices, Picture, Pictures, Table, Texts

pytestmark = pytest.mark.no_torch

PICTURE = Picture(1, 2, 3, b"abcdef")
ALL = [
    Curves("a", "b", "x", "y", [("c", [(0.0, 1.0), (2.0, 3.5)])], True),
    Pictures("a", "b", ["c", "d"], [("row 3", [PICTURE, PICTURE])], [("cat", "#0072b2")]),
    Matrices("a", "b", ["no", "yes"], [("beach", [[1, 2], [3, 4]])]),
    Table("a", "b", ["class", "IoU"], [["cat", 0.5], ["dog", 2.0]]),
    Texts("a", "b", ["truth", "guess"], [("row 1", [["O", "B"], ["O", "O"]], [1])]),
]


def stored(*items: object) -> list[figures.Figure]:
    return figures.read(json.loads(json.dumps(items)))


def test_they_are_read_as_they_were_written() -> None:
    found = stored(*figures.as_data(ALL))
    assert [figures.as_data([figure]) for figure in found] == [figures.as_data([figure]) for figure in ALL]
    assert found[1].rows == [("row 3", [PICTURE, PICTURE])]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("number", "change"),
    [
        (0, {"series": [["c", [[0, None], [1, "x"], [1e301, 2]]]]}),
        (0, {"series": 3}),
        (0, {"kind": ["curves"]}),
        (0, {"kind": "curve"}),
        (1, {"rows": [["row", [{"height": 1, "width": 2, "channels": 3, "pixels": "YWJj"}] * 2]]}),
        (1, {"rows": [["row", [figures.picture_data(PICTURE)]]]}),
        (1, {"rows": [["row", [figures.picture_data(Picture(65, 1, 1, bytes(65)))] * 2]]}),
        (1, {"names": []}),
        (2, {"parts": [["beach", [[1, 2], [3]]]]}),
        (2, {"parts": [["beach", [[1, 2], [3, -4]]]]}),
        (3, {"rows": [["cat"]]}),
        (3, {"rows": [5, "text"]}),
        (4, {"rows": [["row", [["O"]], []]]}),
        (4, {"rows": [["row"], 3]}),
    ],
)
def test_what_is_malformed_is_left_out(number: int, change: dict) -> None:
    data = figures.as_data(ALL)
    assert len(stored(*data[:number], data[number] | change, *data[number + 1 :])) == len(ALL) - 1


def test_colours_are_colours() -> None:
    key = [["cat", "red;background:url(x)"], ["dog", "#12345"], ["cow", "#123456\n"], ["ox", "#00ff00"], ["x", 3]]
    (found,) = stored(figures.as_data(ALL)[1] | {"key": key})
    assert found.key == [("ox", "#00ff00")]  # type: ignore[union-attr]


@pytest.mark.slow
def test_all_of_them_together_are_limited() -> None:
    noise = Picture(64, 64, 3, os.urandom(64 * 64 * 3))
    huge = [Pictures("a", "b", ["c"] * 4, [("row", [noise] * 4)] * 16)] * 6
    long = [Texts("a", "b", ["c"] * 4, [("row", [["<" * 40] * 64] * 4, [])] * 16)] * 20
    for many in (huge, long, [Curves("a", "b", "x", "y", [("c", [(0.1, 0.1)] * 999)] * 20)] * 30):
        found = stored(*figures.as_data(many))
        assert sum(map(figures._size, found)) <= figures.MOST_BYTES
        assert len(found) <= figures.MOST_FIGURES
        assert found != []
    (one,) = stored(figures.as_data([Table("t" * 999, "c" * 999, ["n"], [["w" * 999]])])[0])
    assert max(len(one.title), len(one.caption), len(one.rows[0][0])) == figures.LONG  # type: ignore[union-attr]
