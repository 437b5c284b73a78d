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

    def sample(self) -> str:
        """Some value of it."""
        return self.choices[0] if self.choices else str(int(self.low) if self.integer else self.low)
