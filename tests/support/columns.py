"""A table whose answer depends on some of its columns: numbers, a date, a category, and values that are missing."""

from pathlib import Path

import numpy as np


def write(path: Path, target: str, num_rows: int = 300, num_noise: int = 2) -> None:
    """target: yes or no, or price, a number. Both depend on age, city and size, and not on the day or the noise."""
    draw = np.random.default_rng(0)
    age, size = draw.normal(40, 12, num_rows).round(1), draw.normal(90, 20, num_rows).round(1)
    city = draw.choice(["Rome", "Oslo", "Bonn"], num_rows)
    day = np.datetime64("2000-01-01") + draw.integers(0, 7000, num_rows)
    noise = draw.normal(size=(num_rows, num_noise)).round(3)
    worth = (age - 40) / 12 + 2.0 * (city == "Rome") + (size - 90) / 10
    answer = np.where(worth > 0.6, "yes", "no") if target == "buys" else (40_000 * (worth + 8)).round(2)
    ages = np.where(draw.random(num_rows) < 0.1, "", age.astype(str))
    columns = [ages, city, size, day, *noise.T, answer]
    names = ["age", "city", "size", "built", *(f"noise_{number}" for number in range(num_noise)), target]
    lines = [",".join(map(str, row)) for row in zip(*columns, strict=True)]
    path.write_text("\n".join([",".join(names), *lines]) + "\n", encoding="utf-8")
