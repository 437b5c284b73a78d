"""The values that a config expects (`expect:`), and whether a result is as expected: equal, near, or within bounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

RELATIONS = ("value", "within", "at_least", "at_most")


@dataclass(frozen=True)
class Expectation:
    """One of: exactly `value`; `value` within an absolute tolerance (each number of a list); one or two bounds."""

    value: Any = None
    within: float = 0.0
    at_least: float | None = None
    at_most: float | None = None

    @property
    def bounded(self) -> bool:
        """Whether this is a bound and not a value."""
        return self.at_least is not None or self.at_most is not None

    def holds(self, got: Any) -> bool:
        """Whether `got` is as expected. NaN never is."""
        if not self.bounded:
            return _near(got, self.value, self.within)
        low, high = self.at_least, self.at_most
        return is_number(got) and bool((low is None or got >= low) and (high is None or got <= high))

    def __str__(self) -> str:
        bounds = [(">=", self.at_least), ("<=", self.at_most)]
        return ", ".join(f"{sign} {shown(bound)}" for sign, bound in bounds if bound is not None) or shown(self.value)


def parse(node: Any) -> Expectation:
    """A value as it is in YAML, or a mapping of value, within, at_least, at_most. Raises ValueError."""
    if not isinstance(node, Mapping):
        return Expectation(node)
    wrong = [name for name in node if name not in RELATIONS]
    if wrong or not node:
        raise ValueError(f"takes {', '.join(RELATIONS)}" + (f", not {wrong[0]}" if wrong else ""))
    for name in ("within", "at_least", "at_most"):
        if name in node and not is_number(node[name]):
            raise ValueError(f"{name} must be a number")
    expectation = Expectation(**node)
    if expectation.bounded == ("value" in node):
        raise ValueError("takes either a value, with or without a tolerance, or bounds")
    return expectation


def shown_apart(expectation: Expectation, got: Any) -> tuple[str, str]:
    """Both as a table shows them, with all their digits where rounding hides the difference."""
    both = str(expectation), shown(got)
    if both[0] == both[1] and not expectation.holds(got):
        return repr(expectation.value), repr(got)
    return both


def shown(value: Any) -> str:
    """A value as a table shows it: 101,770 and 2.008, yes and no, a list with commas between."""
    if isinstance(value, (list, tuple)):
        return ", ".join(map(shown, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def is_number(value: Any) -> bool:
    """Whether this is an int or a float, and not a bool."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _near(got: Any, value: Any, within: float) -> bool:
    if isinstance(value, (list, tuple)):
        same_length = isinstance(got, (list, tuple)) and len(got) == len(value)
        return same_length and all(_near(a, b, within) for a, b in zip(got, value, strict=True))
    if is_number(value):
        return is_number(got) and (got == value or abs(got - value) <= within)
    return type(got) is type(value) and bool(got == value)
