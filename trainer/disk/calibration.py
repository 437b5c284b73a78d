"""calibration.json: the temperature of a run with calibrate=true, and what it gains. Imports no torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trainer.disk import layout, reading, storage
from trainer.disk.reading import Damaged


@dataclass(frozen=True)
class Calibration:
    """temperature: what predict and export divide logits by. num_fitted: the validation rows that it was fitted to.

    before, after: nll and ece without and with it, on `num_rows` rows of a split: test, or val by cross-fitting; None
    where there are too few rows."""

    temperature: float
    num_fitted: int
    split: str = "val"
    num_rows: int = 0
    before: Mapping[str, float] | None = None
    after: Mapping[str, float] | None = None

    @property
    def where(self) -> str:
        """The rows that it was measured on, in words."""
        if self.split == "test":
            return f"on the test split, {self.num_rows:,} rows that select nothing"
        return f"by cross-fitting over five parts of the {self.num_rows:,} validation rows"


def write(folder: Path, found: Calibration) -> None:
    """Write RUN/calibration.json."""
    storage.write_json(folder / layout.CALIBRATION, asdict(found))


def read(folder: Path) -> Calibration | None:
    """The calibration of a run folder, of any author; None where it has none. Raises Damaged."""
    path = folder / layout.CALIBRATION
    try:
        found = reading.read_json(path)
    except FileNotFoundError:
        return None
    made = parsed(found)
    if made is None:
        raise Damaged(f"{path} does not hold a temperature")
    return made


def is_missing(folder: Path) -> bool:
    """Whether there is no whole calibration."""
    try:
        return read(folder) is None
    except Damaged:
        return True


def parsed(found: Any) -> Calibration | None:
    """The calibration in any JSON; None where there is no temperature in it."""
    found = found if isinstance(found, dict) else {}
    temperature = reading.number(found.get("temperature"))
    if temperature is None or not 1e-6 <= temperature <= 1e6:
        return None
    num_fitted, num_rows = (reading.count(found.get(name)) or 0 for name in ("num_fitted", "num_rows"))
    before, after = (_complete(found.get(name)) for name in ("before", "after"))
    split = "test" if found.get("split") == "test" else "val"
    return Calibration(temperature, num_fitted, split, num_rows, before, after)


def _complete(value: Any) -> dict[str, float] | None:
    numbers = reading.numbers(value)
    return numbers if {"nll", "ece"} <= numbers.keys() else None
