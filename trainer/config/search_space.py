"""The keys that a search may vary."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """One key to search: one of `choices`, or a number from low to high, an integer or not, on a log scale or not."""

    key: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    integer: bool = False
    log: bool = False

    def samples(self) -> tuple[str, ...]:
        """Every choice, or the ends of the interval, as they are typed."""
        ends = (int(self.low), int(self.high)) if self.integer else (self.low, self.high)
        return self.choices or tuple(dict.fromkeys(map(str, ends)))
