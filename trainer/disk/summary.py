"""summary.json read back: its values have the types that run/summary.py writes, or it is damaged. Imports no torch."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainer.disk import layout, reading
from trainer.disk.reading import Damaged

UNREADABLE = "unreadable"  # the status that a run is listed with if its folder is damaged


@dataclass(frozen=True)
class Summary:
    """What a run recorded about itself; the defaults stand for a run that has not recorded anything yet."""

    status: str = ""
    monitor: str = ""
    modes: dict[str, str] = field(default_factory=dict)  # max or min, the better direction of each metric
    best: dict[str, float] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    test: dict[str, float] = field(default_factory=dict)  # with the best weights
    seconds: dict[str, float] = field(default_factory=dict)
    steps: int | None = None
    num_train: int | None = None
    num_val: int | None = None
    data: str = ""
    loss: str = ""
    error: str = ""
    tags: list[str] = field(default_factory=list)


def read(folder: Path) -> Summary:
    """The summary of a run folder. Raises Damaged, which names the value that has another type."""
    path = folder / layout.SUMMARY
    try:
        found = reading.read_json(path)
    except FileNotFoundError:
        return Summary()
    if not isinstance(found, dict):
        raise Damaged(f"{path} does not hold a summary")
    values = {name: found[name] for name in Summary.__dataclass_fields__ if found.get(name) is not None}
    return Summary(**{name: _checked(path, name, value) for name, value in values.items()})


def _checked(path: Path, name: str, value: Any) -> Any:
    if name in ("best", "last", "test", "seconds"):
        known = {key: inner for key, inner in value.items() if inner is not None} if isinstance(value, dict) else None
        if known is None or len(numbers := reading.numbers(known)) < len(known):
            raise Damaged(f"{path}: {name} is not a mapping of finite numbers")
        return numbers
    if name == "tags":
        return [reading.text(tag) for tag in reading.items(value, str)]
    if name == "modes":
        if not isinstance(value, dict) or any(mode not in ("max", "min") for mode in value.values()):
            raise Damaged(f"{path}: modes is not a mapping to max or min")
        return value
    if name in ("steps", "num_train", "num_val"):
        if reading.count(value) is None:
            raise Damaged(f"{path}: {name} is not a whole number")
        return value
    if not isinstance(value, str):
        raise Damaged(f"{path}: {name} is not text")
    return reading.text(value, 2000 if name == "error" else 200)
