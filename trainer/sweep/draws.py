"""Random search: trial n is a function of the seed and n. It needs no library and learns nothing."""

import math
import random
from collections.abc import Mapping, Sequence

from trainer.compare.rows import Row
from trainer.config.search_space import Axis, Space
from trainer.disk.sweep_plan import Job


class Draws:
    """Draws trials from a space. It takes the place of a Study, whose methods it has, and stops no job."""

    prunes = None

    def __init__(self, space: Space) -> None:
        self.space = space

    def ask(self, number: int) -> dict[str, str]:
        """The trial with this number: {axis: value as typed}."""
        generator = random.Random(f"{self.space.settings.seed} {number}")  # noqa: S311
        return {axis.key: _drawn(axis, generator.random()) for axis in self.space.axes}

    def restore(self, number: int, trial: Mapping[str, str]) -> None:
        """Nothing to do: no trial depends on another."""

    def tell(self, job: Job, row: Row, values: Sequence[float]) -> None:
        """Nothing to learn."""


def _drawn(axis: Axis, share: float) -> str:
    """The value at a share, from 0 to below 1, of an axis, as typed."""
    if axis.choices:
        return axis.choices[int(share * len(axis.choices))]
    low, high = (axis.low - 0.5, axis.high + 0.5) if axis.integer else (axis.low, axis.high)
    if axis.log:
        value = math.exp(math.log(low) + share * (math.log(high) - math.log(low)))
    else:
        value = low + share * (high - low)
    value = min(max(value, axis.low), axis.high)
    return repr(round(value) if axis.integer else float(value))
