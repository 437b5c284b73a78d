"""Lines of the header about the columns of a table."""

from collections.abc import Mapping, Sequence

from trainer.data.tabular.column import MOST_LEVELS, Column
from trainer.data.tabular.fitting import Levels, Moments
from trainer.data.tabular.source import Source
from trainer.text import listed


def describe(
    columns: Sequence[Column], tallies: Mapping[str, Moments | Levels], left_out: Mapping[str, str], source: Source
) -> list[str]:
    """Lines about the columns: their types and categories, missing values, and the columns that are left out."""
    lines = []
    for kind, plural in (("number", "numbers"), ("date", "dates"), ("category", "categories")):
        names = [column.name for column in columns if column.kind == kind]
        if names:
            count = f"{len(names)} {plural if len(names) > 1 else kind}: "
            lines.append(count + listed(names, 69 - len(count)))
    rare = [f"{c.name} ({len(tallies[c.name].counts):,})" for c in columns if c.other]  # type: ignore[union-attr]
    missing = [f"{c.name} {tallies[c.name].missing:,}" for c in columns if tallies[c.name].missing]
    infinite = [f"{name} {t.infinite:,}" for name, t in tallies.items() if isinstance(t, Moments) and t.infinite]
    for what, names, width in (
        (f"other than the {MOST_LEVELS} most frequent", rare, 35),
        ("missing, imputed and marked", missing, 40),
        ("infinite, taken as missing", infinite, 41),
    ):
        if names:
            lines.append(f"{what}: {listed(names, width)}")
    if left_out:
        lines.append(f"left out: {reasons(left_out, 59)}")
    if source.text and source.delimiter != ",":
        mark = {"\t": "tabs", ";": "semicolons"}.get(source.delimiter, source.delimiter)
        lines.append(f"values are separated by {mark}")
    return lines


def reasons(left_out: Mapping[str, str], width: int) -> str:
    """The columns that are left out, and why."""
    return listed([f"{name} ({why})" for name, why in left_out.items()], width)
