"""Expected values beside measured ones: cells wrap, no text is lost."""

import itertools
import textwrap
from collections.abc import Iterator, Sequence

from trainer.chapter.example import Row

HEAD = ("example", "what", "expected", "got", "")
WIDTHS = (15, 25, 16, 16, 2)
MOST = 3  # rows of an example in the table of all, which fits on one screen
OK = {True: "ok", False: "NO", None: "-"}


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """A head, and a row for each value; each example is named once."""
    yield from _wrapped(HEAD, WIDTHS)
    before = ""
    for row in rows:
        name = row.example if row.example != before else ""
        before = row.example
        cells, widths = [row.name, row.expected, row.got], [*WIDTHS[1:4]]
        if not row.expected:  # not run: the reason takes the entire line
            cells, widths = [f"{row.name}: {row.got}"], [sum(widths) + 2]
        widths = [WIDTHS[0], *widths, WIDTHS[4]]
        yield from _wrapped([name, *cells, OK[row.ok]], widths)


def headlines(rows: Sequence[Row]) -> list[Row]:
    """The first values of an example, and each that is not as expected."""
    return [*rows[:MOST], *(row for row in rows[MOST:] if row.ok is False)]


def verdict(rows: Sequence[Row], seconds: float) -> str:
    """How many values are as expected, in one line."""
    judged = [row for row in rows if row.ok is not None]
    good = sum(bool(row.ok) for row in judged)
    examples = len({row.example for row in judged})
    values = f"{good} of {len(judged)} values of {examples} examples"
    return f"{values} are as expected ({seconds:.1f} s)"


def _wrapped(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    columns = map(textwrap.wrap, cells, widths)
    for parts in itertools.zip_longest(*columns, fillvalue=""):
        padded = map(str.ljust, parts, widths)
        yield " ".join(padded).rstrip()
