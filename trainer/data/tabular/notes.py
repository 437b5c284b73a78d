"""What the header says of a table's columns."""

from collections.abc import Mapping, Sequence

from trainer.data.tabular.column import MOST_LEVELS, Column
from trainer.data.tabular.fitting import Levels, Moments
from trainer.data.tabular.source import Source
from trainer.text import cut


def describe(
    chosen: Sequence[Column], features: Mapping[str, Moments | Levels], left_out: Mapping[str, str], source: Source
) -> list[str]:
    """What the header says of the columns: types, categories, what is missing, what was done about it."""
    lines = []
    for kind, plural in (("number", "numbers"), ("date", "dates"), ("category", "categories")):
        names = [column.name for column in chosen if column.kind == kind]
        if names:
            count = f"{len(names)} {plural if len(names) > 1 else kind}: "
            lines.append(count + listed(names, 69 - len(count)))
    rare = [f"{c.name} ({len(features[c.name].counts):,})" for c in chosen if c.other]  # type: ignore[union-attr]
    if rare:
        lines.append(f"other than the {MOST_LEVELS} most frequent: " + listed(rare, 35))
    missing = {c.name: features[c.name].missing for c in chosen if features[c.name].missing}
    if missing:
        lines.append("missing, imputed and marked: " + listed([f"{n} {count:,}" for n, count in missing.items()], 40))
    endless = {
        name: tally.infinite for name, tally in features.items() if isinstance(tally, Moments) and tally.infinite
    }
    if endless:
        lines.append("infinite, taken as missing: " + listed([f"{n} {count:,}" for n, count in endless.items()], 41))
    if left_out:
        lines.append("left out: " + listed([f"{name} ({why})" for name, why in left_out.items()], 59))
    if source.text and source.delimiter != ",":
        lines.append(
            "values are separated by " + {"\t": "tabs", ";": "semicolons"}.get(source.delimiter, source.delimiter)
        )
    return lines


def reasons(left_out: Mapping[str, str]) -> str:
    """Columns that are left out, and why."""
    return listed([f"{name} ({why})" for name, why in left_out.items()], 60)


def listed(words: Sequence[str], width: int) -> str:
    """Words with commas, as many as fit, and how many more there are."""
    line = ""
    for number, word in enumerate(words):
        more = f", and {len(words) - number} more" if number < len(words) - 1 else ""
        if line and len(line) + 2 + len(word) + len(more) > width:
            return f"{line}, and {len(words) - number} more"
        line += (", " if line else "") + word
    return cut(line, width)
