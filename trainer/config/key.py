"""One key of the schema: a dataclass field that carries its help, its range and its unit."""

from dataclasses import field
from typing import Any


def key(
    help: str,
    *,
    above: float | None = None,
    at_least: float | None = None,
    below: float | None = None,
    at_most: float | None = None,
    unit: str = "",
    instead_of_true: str | None = None,
) -> Any:
    """A required field. Bounds hold for each element of a list; `instead_of_true` is the answer to key=true."""
    return field(
        metadata={
            "help": help,
            "above": above,
            "at_least": at_least,
            "below": below,
            "at_most": at_most,
            "unit": unit,
            "instead_of_true": instead_of_true,
        }
    )
