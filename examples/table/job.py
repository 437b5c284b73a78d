"""A network for a table of numbers and words. `python job.py` writes the table: flats.csv."""

import csv
import random
from pathlib import Path

from torch import Tensor, nn

DISTRICTS = {"harbour": 1.3, "hill": 1.6, "mills": 0.8, "old town": 1.1}


class Net(nn.Module):
    def __init__(self, in_features: int, out_features: int, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, out_features))

    def forward(self, row: Tensor) -> Tensor:
        """row: (N, columns), numbers and one column for each word. Returns prices (N, 1)."""
        return self.layers(row)


def write(file: Path, num_rows: int = 800) -> None:
    """Write flats with their area, rooms, age and district, and what they cost."""
    rng = random.Random(0)
    with file.open("w", newline="") as out:
        table = csv.writer(out)
        table.writerow(["area", "rooms", "age", "district", "price"])
        for _ in range(num_rows):
            area, age, district = rng.uniform(25, 140), rng.randrange(100), rng.choice(list(DISTRICTS))
            rooms = max(1, round(area / 28 + rng.gauss(0, 0.5)))
            price = 2800 * area * DISTRICTS[district] * (1 - 0.004 * age) + 9000 * rooms + rng.gauss(0, 15000)
            table.writerow([f"{area:.1f}", rooms, age, district, round(price)])


if __name__ == "__main__":
    write(Path("flats.csv"))
