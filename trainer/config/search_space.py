"""The keys that a search may vary, as Hydra's override grammar writes them."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Axis:
    """One key to search: one of `choices`, or a number from low to high, whole or not, on a log scale or not."""

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False
    log: bool = False

    def sample(self) -> str:
        """Some value of it."""
        return self.choices[0] if self.choices else str(int(self.low) if self.whole else self.low)


def axis(override: Any) -> Axis:
    """The values that optuna may propose for one key. override: Hydra's, parsed from interval(a,b),
    int(interval(a,b)), tag(log,interval(a,b)) or a list."""
    from hydra.core.override_parser.types import IntervalSweep

    key, value = override.get_key_element(), override.value()
    if isinstance(value, IntervalSweep) and value.start is not None and value.end is not None:
        whole = isinstance(value.start, int) and isinstance(value.end, int)
        return Axis(key, (), value.start, value.end, whole, "log" in value.tags)
    return Axis(key, tuple(override.sweep_string_iterator()))
