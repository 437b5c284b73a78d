"""Where the values of a key stand on an axis: side by side, or, of many numbers, on a scale."""

import math
from collections.abc import Sequence

from trainer.compare import table
from trainer.report.plots import Tick
from trainer.report.scales import fit
from trainer.text import cut

FEW = 8  # values of a key that are placed side by side instead of on a scale


def key_places(values: Sequence[str]) -> tuple[list[float], list[Tick]]:
    """The place of each value of a key from 0 to 1, and the ticks. Few levels are placed side by side, numbers in
    order; many numbers are placed on a scale."""
    levels = list(dict.fromkeys(values))
    numbers = {value: number for value in levels if (number := as_number(value)) is not None}
    if len(numbers) == len(levels):
        if len(levels) > FEW and (scale := fit(numbers.values(), may_be_logarithmic=True)) is not None:
            return [scale.place(numbers[value]) for value in values], scale.ticks(5)
        levels = sorted(levels, key=lambda value: numbers[value])
    places = {value: (index + 0.5) / len(levels) for index, value in enumerate(levels)}
    every = max(1, math.ceil(len(levels) / 16))
    ticks = [(places[value], cut(table.short_value(value), 18)) for value in levels[::every]]
    return [places[value] for value in values], ticks


def as_number(text: str) -> float | None:
    """The finite number that a text spells; None if it is not one."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < 1e300 else None
