"""What differs between two runs: their configs, the code and the libraries, the data and the rows that validate."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from trainer.compare.rows import Row
from trainer.disk import layout, val_rows
from trainer.disk.reading import Damaged
from trainer.text import cut

CODE = ("git", "device", "threads")  # of summary.json, beside its versions
VALIDATING = "data rows that validate"
LONGEST = 30  # characters of a value


def lines(runs: Sequence[Row]) -> Iterator[str]:
    """Lines such as 'config optimizer.lr: 0.01 and 0.001', then one with what is the same."""
    first, second = map(_said, runs)
    names = [*first, *(name for name in second if name not in first)]
    unknown = {name for name in (VALIDATING,) if None in (first.get(name), second.get(name))}
    differing = [name for name in names if name not in unknown and first.get(name) != second.get(name)]
    for name in differing:
        yield f"{name}: {_shown(first.get(name))} and {_shown(second.get(name))}"
    same = [part for part in ("config", "code", "data") if part not in {name.split()[0] for name in differing}]
    if same:
        yield f"the same {' and '.join(same)}"


def _said(row: Row) -> dict[str, Any]:
    """What a run says about how it was made, by name."""
    summary = layout.read_summary(layout.opened(Path(row.name)))
    versions = summary.get("versions")
    found: dict[str, Any] = {f"config {key}": value for key, value in row.settings.items()}
    found |= {f"code {name}": summary.get(name) for name in CODE}
    found |= {f"code {name}": value for name, value in (versions if isinstance(versions, dict) else {}).items()}
    return found | {"data digest": summary.get("data"), VALIDATING: _validating(row)}


def _validating(row: Row) -> str | None:
    try:
        known = val_rows.read(layout.opened(Path(row.name)))
    except Damaged:
        return None
    return None if known is None else f"{len(known.rows):,} ({hashlib.sha256(known.rows.tobytes()).hexdigest()[:8]})"


def _shown(value: Any) -> str:
    return cut("none" if value is None else str(value), LONGEST)
