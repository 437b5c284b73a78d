"""Python values as JSON and back. Tuples stay tuples, infinities and NaN become strings, other types are refused."""

import math
from typing import Any


def finite(value: Any) -> Any:
    """The value; None for a float that is NaN or infinite, which JSON cannot hold."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def encode(value: Any, name: str = "state") -> Any:
    """Plain JSON data for a value. Raises TypeError, naming the part that has another type."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"__float__": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        items = [encode(item, f"{name}[{i}]") for i, item in enumerate(value)]
        return {"__tuple__": items} if isinstance(value, tuple) else items
    if isinstance(value, dict):
        return {"__pairs__": [[encode(k, name), encode(v, f"{name}.{k}")] for k, v in value.items()]}
    raise TypeError(f"{name} is a {type(value).__name__}")


def decode(value: Any) -> Any:
    """The value that encode was given."""
    if isinstance(value, list):
        return [decode(item) for item in value]
    if isinstance(value, dict):
        if "__float__" in value:
            return float(value["__float__"])
        if "__tuple__" in value:
            return tuple(decode(item) for item in value["__tuple__"])
        return {decode(k): decode(v) for k, v in value["__pairs__"]}
    return value
