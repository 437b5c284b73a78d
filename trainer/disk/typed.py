"""The parts of a JSON file that somebody else wrote, each of the type it must have."""

import math
from typing import Any, TypeVar

MOST_INPUTS = 10**7
T = TypeVar("T")


def as_type(value: Any, kind: type[T]) -> T:
    """The value, of exactly this type. Raises ValueError for another."""
    if type(value) is not kind:
        raise ValueError(f"{str(value)[:30]} is not a {kind.__name__}")
    return value


def texts(value: Any) -> list[str]:
    """A list of texts. Raises ValueError for anything else."""
    return [as_type(entry, str) for entry in as_type(value, list)]


def whole(value: Any, least: int = 0) -> int:
    """A whole number from least to MOST_INPUTS. Raises ValueError for another."""
    if not least <= as_type(value, int) <= MOST_INPUTS:
        raise ValueError(f"{value} is not between {least} and {MOST_INPUTS}")
    return value  # type: ignore[no-any-return]


def shape(value: Any) -> tuple[int, ...]:
    """A shape of a tensor. Raises ValueError for one that no input has."""
    sizes = tuple(whole(size, 1) for size in as_type(value, list))
    if len(sizes) > 8 or math.prod(sizes) > MOST_INPUTS:
        raise ValueError(f"the shape {sizes} is too large")
    return sizes
