"""Durations: 3epochs, 500steps or 10000samples in a config, which build turns into optimizer steps."""

import math
import re
from typing import NewType

Duration = NewType("Duration", str)

PATTERN = re.compile(r"([0-9][0-9_]*(?:\.[0-9]+)?)\s*(epoch|step|sample)s?")


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
        raise ValueError(f"{duration!r} is not a duration")
    count = float(match[1].replace("_", ""))
    steps = {"epoch": count * steps_per_epoch, "step": count, "sample": count / samples_per_step}[match[2]]
    return max(1, math.ceil(steps))
