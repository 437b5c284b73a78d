"""Durations: 3epochs, 500steps or 10000samples in a config, which build turns into optimizer steps; and times."""

import math
import re
from collections.abc import Mapping
from typing import Any, NewType

from trainer.errors import ConfigError

Duration = NewType("Duration", str)
Time = NewType("Time", str)

PATTERN = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?)\s*(epoch|step|sample)s?")

LONGEST = 1e9  # seconds, some thirty years
TIME = re.compile(r"(?:([0-9.]+)h)?(?:([0-9.]+)m)?(?:([0-9.]+)s)?")


def in_seconds(text: object, key: str = "max_time") -> float:
    """The seconds in a time such as 90s, 10m, 1.5h or 1h30m. Raises ConfigError for anything else."""
    if (seconds := _seconds(text)) <= 0:
        raise ConfigError(f"{key}={text} is not a time such as 90s, 10m or 1h30m", f"{key}=10m")
    return seconds


def is_time(value: object) -> bool:
    """Whether `value` is a string like 90s, 10m or 1h30m, and more than nothing."""
    return _seconds(value) > 0


def _seconds(text: object) -> float:
    match = TIME.fullmatch(text) if isinstance(text, str) else None
    try:
        parts = [float(part or 0) for part in match.groups()] if match else []
    except ValueError:
        parts = []
    seconds = sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    return seconds if seconds <= LONGEST else 0.0


def longer(epochs: int, max_steps: int | None, num_steps: int, steps_per_epoch: float) -> dict[str, int]:
    """The settings with which a run is twice as long: of what limits it, and of epochs where those would limit it then.
    num_steps: that it takes now."""
    if max_steps is None or max_steps > num_steps:
        return {"epochs": 2 * epochs}
    needed = math.ceil(2 * max_steps / steps_per_epoch)
    return {"max_steps": 2 * max_steps} | ({"epochs": needed} if needed > epochs else {})


def is_duration(value: object) -> bool:
    """Whether `value` is a string like 3epochs, 0.5epoch, 500steps or 10_000samples."""
    return isinstance(value, str) and PATTERN.fullmatch(value) is not None


def is_empty(value: object) -> bool:
    """Whether `value` is a duration of nothing, like 0epochs."""
    return isinstance(value, str) and is_duration(value) and not any(digit in value for digit in "123456789")


def in_steps(duration: str, steps_per_epoch: int, samples_per_step: int) -> int:
    """The optimizer steps in a duration, rounded up, at least 1. Raises ValueError if it is not a duration."""
    match = PATTERN.fullmatch(duration)
    if match is None:
        raise ValueError(f"{duration!r} is not a duration like 10epochs, 500steps or 10000samples")
    count = float(match[1].replace("_", ""))
    steps = {"epoch": count * steps_per_epoch, "step": count, "sample": count / samples_per_step}[match[2]]
    return max(1, math.ceil(steps))


def with_steps(value: Any, key: str, steps_per_epoch: int, samples_per_step: int) -> Any:
    """A copy of plain data in which each duration, however deep, is its number of steps.

    key: the dotted key of the data. Raises ConfigError for a text that only begins like a duration: the class that
    gets it would compare it with a number of steps, perhaps without a word.
    """
    lengths = (steps_per_epoch, samples_per_step)
    if isinstance(value, Mapping):
        return {name: with_steps(inner, f"{key}.{name}", *lengths) for name, inner in value.items()}
    if isinstance(value, list):
        return [with_steps(inner, f"{key}.{place}", *lengths) for place, inner in enumerate(value)]
    if is_duration(value):
        return in_steps(value, *lengths)
    if isinstance(value, str) and value[:1].isdigit():
        raise ConfigError(f"{key}={value} is not a duration", "write 10epochs, 500steps or 10000samples", key)
    return value
