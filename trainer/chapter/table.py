"""Expected values beside measured ones: cells wrap, nothing is cut."""

import textwrap
from collections.abc import Iterator, Sequence

from trainer.chapter.example import Row

HEAD = ("example", "what", "expected", "got", "")
WIDTHS = (15, 25, 16, 16, 2)
MOST = 3  # rows of one example in the table of all: it stays on one screen
OK = {True: "ok", False: "NO", None: "-"}


def lines(rows: Sequence[Row]) -> Iterator[str]:
    """A head, and a row for each value; its example's name comes once."""
    yield from _wrapped(HEAD)
    before = ""
    for row in rows:
        name = row.example if row.example != before else ""
        before = row.example
        if (
            not row.expected
        ):  # nothing to compare: why it was not run takes the whole line
            yield from _wrapped(
                (name, f"{row.name}: {row.got}", OK[row.ok]),
                (WIDTHS[0], sum(WIDTHS[1:4]) + 2, WIDTHS[4]),
            )
            continue
        yield from _wrapped(
            (name, row.name, row.expected, row.got, OK[row.ok])
        )


def headlines(rows: Sequence[Row]) -> list[Row]:
    """The first values of an example, and each that is not as expected."""
    return [
        row
        for place, row in enumerate(rows)
        if place < MOST or row.ok is False
    ]


def verdict(rows: Sequence[Row], seconds: float) -> str:
    """How many values are as expected, in one line."""
    judged = [row for row in rows if row.ok is not None]
    good = sum(bool(row.ok) for row in judged)
    examples = len({row.example for row in judged})
    values = f"{good} of {len(judged)} values of {examples} examples"
    return f"{values} are as expected ({seconds:.1f} s)"


def _wrapped(
    cells: Sequence[str], widths: Sequence[int] = WIDTHS
) -> Iterator[str]:
    columns = [
        textwrap.wrap(cell, width) or [""]
        for cell, width in zip(cells, widths, strict=True)
    ]
    for number in range(max(map(len, columns))):
        parts = [
            column[number] if number < len(column) else ""
            for column in columns
        ]
        yield " ".join(
            f"{part:<{width}}"
            for part, width in zip(parts, widths, strict=True)
        ).rstrip()
