"""The model card: a README.md that says what goes in, what comes out, how good it is and how it was made."""

import html
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainer.data.preprocessing import Preprocessing
from trainer.disk import layout
from trainer.inference.whole import output_name

PROGRAM = "load_{name}.py"
READ = {"number": "a number", "date": "a date, as days since 1970-01-01"}


def card(folder: Path, files: Mapping[str, str], made: Preprocessing, dtype: str, overrides: list[str]) -> str:
    """Markdown. files: format -> file name, of all that lie in RUN/export/."""
    return "\n".join(_lines(folder, files, made, dtype, overrides)) + "\n"


def _lines(
    folder: Path, files: Mapping[str, str], made: Preprocessing, dtype: str, overrides: list[str]
) -> Iterator[str]:
    summary, facts = layout.read_summary(folder), made.facts
    yield f"# {plain(summary.get('model', 'A model'))} on {plain(summary.get('dataset', 'data'))}"
    yield f"\nExported from the run `{code(folder.name)}`, trained with trainer."
    yield "\n## What goes in\n"
    shape = ", ".join(["rows", *map(str, made.raw_shape)])
    yield f"`x`: {dtype}, of shape ({shape}), any number of rows. Raw values, in the units of the training data: the"
    yield "file does what was done to them in training."
    if made.table is not None:
        yield "\n| place | column | value |\n|---|---|---|"
        for place, column in enumerate(made.table.columns):
            levels = ", ".join(f"{index} = {plain(level)}" for index, level in enumerate(column.levels))
            unknown = f"; {len(column.levels)} is any other" if column.other else "; -1 is any other"
            value = READ.get(column.kind, f"a category as its index: {levels}{unknown}")
            yield f"| {place} | {plain(column.name)} | {value}; NaN where it is missing |"
    yield "\n## What comes out\n"
    if facts.classes is not None:
        yield f"`{output_name(made)}`: (rows, {len(facts.classes)}), adding up to 1, of the classes in this order:"
        yield ", ".join(plain(name) for name in facts.classes) + "."
    else:
        names = f": {', '.join(map(plain, made.table.targets))}" if made.table is not None else ""
        yield f"`{output_name(made)}`: (rows, {facts.num_outputs}), in the units of the training data{names}."
    yield "\n## How good it is\n"
    yield "| metric | value |\n|---|---|"
    best = summary.get("best") or summary.get("last") or {}
    for name, value in best.items():
        if "/" in str(name) and isinstance(value, (int, float)):
            yield f"| {plain(name)} | {value:.4f} |"
    yield "\n`train/…` is measured while training, `val/…` on rows that were held back and by which the best weights"
    yield "were chosen. On other data than that it may be worse, and nothing here says how much."
    yield "\n## How it was made\n"
    yield f"    trainer train {' '.join(code(word) for word in overrides)}".rstrip()
    facts_of_it = [f"{name} {version}" for name, version in sorted((summary.get("versions") or {}).items())]
    rows = {
        "parameters": summary.get("parameters"),
        "seed": summary.get("seed"),
        "steps": summary.get("steps"),
        "commit": summary.get("git"),
        "versions": ", ".join(map(str, facts_of_it)),
    }
    yield ""
    yield from (f"- {name}: {plain(value)}" for name, value in rows.items() if value is not None)
    yield "\n## Files\n"
    for name, file in files.items():
        program = PROGRAM.format(name=name)
        yield f"- `{file}` ({name.replace('_', '.')}): `python {program}` loads it and answers for a row"


def plain(value: Any) -> str:
    """Text that Markdown shows as it is, on one line, whoever wrote it."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    return re.sub(r"([\\`*_{}\[\]()#+!|~])", r"\\\1", html.escape(text, quote=False))


def code(value: Any) -> str:
    """Text for between backticks or in a block of code."""
    return "".join(c if c.isprintable() and c != "`" else " " for c in str(value))
