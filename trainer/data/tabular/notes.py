"""Lines of the header about the columns of a table."""

from collections.abc import Collection, Mapping, Sequence

from trainer.data.parts import Part
from trainer.data.roles import VAL
from trainer.data.splitting import Splitting
from trainer.data.tabular import typed
from trainer.data.tabular.column import MOST_LEVELS, Column
from trainer.data.tabular.fitting import Levels, Moments
from trainer.data.tabular.notation import Notation
from trainer.data.tabular.source import Source
from trainer.data.tabular.survey import Tally
from trainer.text import cut, listed

DECIMAL = "dataset.decimal=comma"
POINTS = f"{DECIMAL} dataset.thousands=point"


def describe(
    columns: Sequence[Column], tallies: Mapping[str, Moments | Levels], left_out: Mapping[str, str], source: Source
) -> list[str]:
    """Lines about the columns: their types and categories, missing values, and the columns that are left out."""
    lines = kinds(columns)
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
        lines.append(f"left out: {reasons(left_out, 200)}")
    if source.text and source.delimiter != ",":
        mark = {"\t": "tabs", ";": "semicolons"}.get(source.delimiter, source.delimiter)
        lines.append(f"values are separated by {mark}")
    return lines


def kinds(columns: Sequence[Column]) -> list[str]:
    """Lines about the types of the columns."""
    lines = []
    for kind, plural in (("number", "numbers"), ("date", "dates"), ("category", "categories")):
        names = [column.name for column in columns if column.kind == kind]
        if names:
            count = f"{len(names)} {plural if len(names) > 1 else kind}: "
            lines.append(count + listed(names, 69 - len(count)))
    return lines


def reasons(left_out: Mapping[str, str], width: int) -> str:
    """The columns that are left out, and why."""
    return listed([f"{name or 'column 1'} ({why})" for name, why in left_out.items()], width)


def spelled(texts: Mapping[str, Tally]) -> list[str]:
    """Lines about columns of text whose spelling decides what they are, and what to type where that is wrong."""
    lines = []
    if padded := [name for name, tally in texts.items() if tally.padded and tally.digits == tally.values]:
        lines.append("categories, as their digits begin with 0: " + listed(padded, 27))
        lines.append(f"if they are numbers: {typed.types(padded[0], 'number')}")
    if percent := [name for name, tally in texts.items() if tally.percent and "number" not in tally.odd]:
        lines.append("percentages, 45% is read as 45: " + listed(percent, 37))
    if versions := [name for name, tally in texts.items() if tally.versions and tally.versions == tally.values]:
        lines.append(f"{cut(versions[0], 20)}: 1.10 is read as the number 1.1; if these are names:")
        lines.append(typed.types(versions[0], "category"))
    ambiguous = [name for name, tally in texts.items() if tally.ambiguous]
    if ambiguous and decimal_comma(texts) is None:
        value, means = _grouped(texts[ambiguous[0]])
        lines.append(f"{listed(ambiguous, 20)}: {value} is read with a decimal point; for {means}:")
        lines.append(POINTS)
    return lines


def decimal_comma(texts: Mapping[str, Tally]) -> str | None:
    """What shows that points stand at the thousands: the first column whose numbers have a decimal comma."""
    others = ((name, tally.other) for name, tally in texts.items() if tally.other is not None)
    return next((f"{name} has {other.what}" for name, other in others if DECIMAL in other.remedy), None)


def _grouped(tally: Tally) -> tuple[str, str]:
    """A value such as 313.280, and what it means if its point stands at the thousands."""
    return tally.grouped, tally.grouped.replace(".", "")


def notations(texts: Mapping[str, Tally]) -> list[list[str]]:
    """Warnings, in paragraphs, of text that looks like numbers or dates in another notation."""
    others: dict[Notation, list[str]] = {}
    for name, tally in texts.items():
        if tally.other is not None and len(tally.odd) == len(tally.like):
            others.setdefault(tally.other, []).append(name)
    warnings = [
        [f"{listed(names, 100)} look{'s' * (len(names) == 1)} like {other.what}, taken as text", f"try: {other.remedy}"]
        for other, names in others.items()
    ]
    ambiguous, comma = [name for name, tally in texts.items() if tally.ambiguous], decimal_comma(texts)
    if ambiguous and comma is not None:
        value, means = _grouped(texts[ambiguous[0]])
        text = f"{listed(ambiguous, 100)}: {value} is read with a decimal point, but {comma}: it means {means}"
        warnings.append([text, f"try: {POINTS}"])
    return warnings


def held_back(
    parts: Mapping[int, Part[Source]], how: Splitting, files: Collection[int], *, numbers: bool
) -> list[list[str]]:
    """Warnings of a validation split that is empty, tiny, or not the one that dataset.split describes. files: the roles
    with files of their own; numbers: whether the targets are numbers."""
    num_rows = parts[VAL].num_rows if VAL in parts else 0
    if VAL in files and how.split not in ("random", "column"):
        return [[f"dataset.split={how.split} is not used: dataset.val_path names the rows that validate"]]
    if num_rows == 0 and how.split == "column":
        return [[f"no row validates: column '{how.by}' never says val"]]
    if num_rows == 0 and how.val_fraction > 0 and how.folds is None:
        return [[f"no row validates: dataset.val_fraction={how.val_fraction:g} is less than one row"]]
    if num_rows == 1 and numbers:
        return [["only one row validates, too few for R²", "try: a larger dataset.val_fraction"]]
    return []
