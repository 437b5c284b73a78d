"""Folders of drawn pictures."""

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"blue": (10, 10, 200), "green": (20, 160, 20), "red": (200, 10, 10)}


def draw(folder: Path, count: int = 12, names: tuple[str, ...] = ("blue", "red"), ending: str = "png") -> None:
    """Pictures of 30 × 24 pixels, in a folder for each colour."""
    chance = np.random.default_rng(len(str(folder)))
    for name in names:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.clip(np.array(COLOURS[name]) + chance.integers(-10, 10, (24, 30, 3)), 0, 255)
            Image.fromarray(pixels.astype("uint8")).save(folder / name / f"{number:02d}.{ending}")
