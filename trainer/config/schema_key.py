"""One key of the schema: a dataclass field that carries its help, its range and its unit."""

import dataclasses
from collections.abc import Iterator, Mapping
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
    if_absent: Any = dataclasses.MISSING,
    example: str = "",
) -> Any:
    """A required field. Bounds hold for each element of a list; `instead_of_true` is the answer to key=true;
    `if_absent` is the value in a config that was stored before there was such a key; `example` is what to type instead
    of a value out of range."""
    bounds = {"above": above, "at_least": at_least, "below": below, "at_most": at_most}
    others = {"unit": unit, "instead_of_true": instead_of_true, "if_absent": if_absent, "example": example}
    return dataclasses.field(metadata={"help": help, **others, **bounds})


@dataclasses.dataclass
class NoKeys:
    """The schema of a class that takes no keys."""


def keys(schema: Any) -> dict[str, Any]:
    """{name: dataclass field} of a schema: `type` is what the key holds, `metadata` its help, range and unit."""
    return {field.name: field for field in dataclasses.fields(schema)}


def dotted(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) of everything in a config, each group before its members."""
    for name, value in node.items():
        yield f"{prefix}{name}", value
        if isinstance(value, Mapping):
            yield from dotted(value, f"{prefix}{name}.")
